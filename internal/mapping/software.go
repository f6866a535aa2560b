package mapping

// software is what is installed on a device, from the inventory with and without CPE.
func software() table {
	return table{
		dataset: "software", dataType: "Software", endpoint: "GET /api/machines/SoftwareInventoryExport, …/SoftwareInventoryNonCpeExport", permission: "Software.Read.All",
		attributes: []Attribute{
			beside(AsIdentity, "softwareVendor", "Software.Package[].Vendor", rowText, "", "The source's slug; a missing one is empty"),
			beside(AsIdentity, "softwareName", "Software.Package[].Name", rowText, "", "The source's slug; a missing one is empty"),
			beside(AsIdentity, "softwareVersion", "Software.Package[].Version", rowText, "", "Text; a missing one is empty"),
			kept("endOfSupportStatus", "Software.Package[].EndOfSupport.Status", asGiven, "None, EOS Version, Upcoming EOS Version, EOS Software, Upcoming EOS Software", ""),
			kept("endOfSupportDate", "Software.Package[].EndOfSupport.Date", dated, "UTC", ""),
			beside(AsEvidence, "diskPaths", "Software.Package[].Evidence.DiskPaths[]", paths, "", ""),
			beside(AsEvidence, "registryPaths", "Software.Package[].Evidence.RegistryPaths[]", paths, "", "registryPath of software without CPE"),
			beside(AsColumn, "softwareFirstSeenTimestamp", "Software.Package[].FirstSeen", rowTime, "UTC", "The earliest the source ever gave; no zone in the text: UTC"),
			beside(AsColumn, "softwareLastSeenTimestamp", "Software.Package[].LastConfirmed", rowTime, "UTC", "Software without CPE only; once per machine and dataset"),
			beside(AsColumn, "(which dataset)", "Software.Package[].Origin", stated("By the dataset that gave the row", "inventory", "vulnerability rows"), "", "Each origin is judged by itself alone"),
			beside(AsColumn, "(absence from a complete read)", "Software.Package[].State", stated("By comparison of complete reads", "installed", "removed", "no_longer_reported"), "", ""),
		},
		unused: append(assessed(),
			Unused{Source: "numberOfWeaknesses", Reason: "counted from the findings themselves"},
			Unused{Source: "registryPath", Reason: "gathered as registryPaths"}),
	}
}
