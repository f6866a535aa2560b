package mapping

// catalogue is the description of a CVE, once for all devices and tenants.
func catalogue() table {
	const prefix = "Security.Vulnerability[].Definition."
	return table{
		dataset: "catalogue", dataType: "Vulnerability", endpoint: "GET /api/vulnerabilities", permission: "Vulnerability.Read.All",
		attributes: []Attribute{
			beside(AsIdentity, "id", prefix+"Id", rowText, "", "The CVE, or a temporary TVM-… id"),
			kept("name", prefix+"Name", asGiven, "", ""),
			kept("description", prefix+"Description", asGiven, "", ""),
			kept("severity", prefix+"Severity", enum("Critical", "High", "Medium", "Low", "None"), "", ""),
			kept("cvssV3", prefix+"CVSS", number, "0–10", ""),
			kept("cvssVector", prefix+"CVSSVector", asGiven, "CVSS 3.0, 3.1 or 4.0", ""),
			kept("epss", prefix+"EPSS", number, "0–1", "Probability of exploitation within 30 days"),
			kept("publishedOn", prefix+"PublishedOn", moment, "UTC", ""),
			kept("updatedOn", prefix+"UpdatedOn", moment, "UTC", ""),
			kept("patchFirstAvailable", prefix+"PatchFirstAvailable", moment, "UTC", ""),
			kept("publicExploit", prefix+"PublicExploit", boolean, "", ""),
			kept("exploitVerified", prefix+"ExploitVerified", boolean, "", ""),
			kept("exploitInKit", prefix+"ExploitInKit", boolean, "", ""),
			kept("exploitTypes", prefix+"ExploitTypes", set, "", "Free texts: Remote, PrivilegeEscalation, Local, …"),
			kept("exploitUris", prefix+"ExploitUris", set, "", ""),
			kept("cveSupportability", prefix+"Supportability", enum("Supported", "NotSupported", "SupportedInPremium"), "", ""),
			kept("tags", prefix+"Tags", set, "", ""),
			kept("*", prefix+"Unmapped", leftover, "", "Kept raw, so that nothing new at the source is lost"),
		},
		unused: []Unused{
			{Source: "exposedMachines", Reason: "differs from tenant to tenant; counted from the findings themselves"},
			{Source: "firstDetected", Reason: "differs from tenant to tenant, while a definition is kept once per CVE"},
			{Source: "status", Reason: "differs from tenant to tenant, while a definition is kept once per CVE"},
		},
	}
}
