// Package worker is the loop that claims work, keeps its lease alive, gathers and
// finishes: the same beside the platform's database and on a connector server. It knows
// a Board and a Sink, never a store or HTTP.
package worker
