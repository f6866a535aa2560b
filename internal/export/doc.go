// Package export writes what is stored as the exports of docs: NDJSON, CSV or
// Parquet, streamed, sorted, the same bytes for the same data. It knows the columns of each export and no
// SQL, and must not change anything.
//
// Choices where the contract leaves room:
//   - Connectors and tenants pick machines; everything else, also a device's scope, is
//     what the picked connectors make of them. A device is what its picked machines make it.
//   - A machine is out of scope for the reason that the last connector to let it go gave,
//     since then. Merged and superseded count whatever another connector said before.
//   - connectors lists all connectors that hold the machine, in scope or out.
//   - A device shows, attribute by attribute, its newest machine's value, else the next
//     newest one's; first_seen is the earliest and last_seen the latest of its machines;
//     assessed_at the oldest among the machines that count, null while one was never judged.
//   - open_… are null where nothing was ever judged or counted: that is not 0.
//   - The configuration export has the checks that stand, whatever --state says.
//   - A vulnerability is listed when a picked machine of the asked scope has a finding of
//     it in the asked state; devices_open counts devices in scope alone.
//   - Lists are [] when empty. Run ids sort as numbers, everything else as text.
package export
