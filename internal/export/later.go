package export

import "slices"

// The columns of exports that nothing records in this version.
var (
	auditColumns = slices.Concat(
		later(key[struct{}], formTime, "at"), later(key[struct{}], formInteger, "id"),
		later(full[struct{}], formText, "actor", "action", "object"),
		later(col[struct{}], formJSON, "before", "after"),
		later(col[struct{}], formText, "address"))
)

func later(kind func(string, form, string, func(*struct{}) cell) column[struct{}], f form, names ...string) []column[struct{}] {
	var columns []column[struct{}]
	for _, name := range names {
		columns = append(columns, kind(name, f, "", nil))
	}
	return columns
}
