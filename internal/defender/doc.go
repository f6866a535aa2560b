// Package defender is the client of Microsoft Entra and the Microsoft Defender
// for Endpoint API: it signs in, keeps within the request budgets, pages,
// downloads export files, and hands rows on one at a time, typed and named as
// the source names them. It must not know what the rows are for: nothing of
// muster is imported here, and nothing is dropped, filtered or judged.
package defender
