package export

// The columns of exports that nothing records in this version.
var (
	totalColumns = later([]string{"day", "organisation", "severity", "platform", "device_group"}, "open", "opened", "fixed", "reopened", "entered_scope", "left_scope")
	auditColumns = later([]string{"at", "id"}, "actor", "action", "object", "before", "after", "address")
)

func later(sorted []string, more ...string) []column[struct{}] {
	var columns []column[struct{}]
	for _, name := range sorted {
		columns = append(columns, key[struct{}](name, nil))
	}
	for _, name := range more {
		columns = append(columns, col[struct{}](name, nil))
	}
	return columns
}
