package mapping

// configuration is a device's result of each secure configuration check.
func configuration() table {
	return table{
		dataset: "configuration", dataType: "Security", endpoint: "GET /api/machines/SecureConfigurationsAssessmentExport", permission: "Vulnerability.Read.All",
		attributes: []Attribute{
			beside(AsIdentity, "configurationId", "Security.Configuration[].Id", rowText, "", "Key together with the machine"),
			kept("configurationName", "Security.Configuration[].Name", asGiven, "", ""),
			kept("configurationCategory", "Security.Configuration[].Category", asGiven, "Application, OS, Network, Accounts, Security controls", ""),
			kept("configurationSubcategory", "Security.Configuration[].Subcategory", asGiven, "", "Often empty"),
			kept("configurationImpact", "Security.Configuration[].Impact", number, "0–10", ""),
			kept("isCompliant", "Security.Configuration[].IsCompliant", boolean, "", "False where the check does not apply"),
			kept("isApplicable", "Security.Configuration[].IsApplicable", boolean, "", "Count applicable rows only"),
			kept("isExpectedUserImpact", "Security.Configuration[].IsExpectedUserImpact", boolean, "", ""),
			kept("recommendationReference", "Security.Configuration[].Recommendation", asGiven, "", "Id of the recommendation, sca-_-scid-…"),
			beside(AsColumn, "timestamp", "Security.Configuration[].Timestamp", rowTime, "UTC", "No zone in the text: UTC"),
			beside(AsColumn, "(the machine's latest timestamp)", "Security.Configuration[].LastConfirmed", rowTime, "UTC", "Once per machine and dataset"),
		},
		unused: assessed(),
	}
}

// assessed are the properties by which assessment rows repeat the machine.
func assessed() []Unused {
	return []Unused{
		{Source: "deviceId", Reason: "the machine's id, as in Discovery.MDE.MachineId"},
		{Source: "deviceName", Reason: "same as the machine's"},
		{Source: "osPlatform", Reason: "same as the machine's, less exact for Linux"},
		{Source: "osVersion", Reason: "a property of the machine, repeated in every row"},
		{Source: "osArchitecture", Reason: "same as the machine's"},
		{Source: "rbacGroupId", Reason: "same as the machine's"},
		{Source: "rbacGroupName", Reason: "same as the machine's"},
	}
}
