package gather

import (
	"time"

	"muster"
	"muster/internal/defender"
)

// The layouts name source attributes as the API spells them in JSON.

func stamp(t time.Time) defender.Text {
	if t.IsZero() {
		return defender.Text{}
	}
	return defender.Text{Value: t.UTC().Format(time.RFC3339Nano), Valid: true}
}

func addresses(pick func(*defender.IPAddress) defender.Text) func(*defender.Machine) []defender.Text {
	return func(m *defender.Machine) []defender.Text {
		if m.IPAddresses == nil {
			return nil
		}
		texts := make([]defender.Text, len(m.IPAddresses))
		for i := range texts {
			texts[i] = pick(&m.IPAddresses[i])
		}
		return texts
	}
}

type machine = defender.Machine

var machineLayout = newLayout(muster.Machines, []table[machine]{{name: "machine", unknown: true, columns: []column[machine]{
	{name: "id", text: func(m *machine) defender.Text { return m.ID }},
	{name: "mergedIntoMachineId", text: func(m *machine) defender.Text { return m.MergedIntoMachineID }},
	{name: "isPotentialDuplication", text: func(m *machine) defender.Text { return m.IsPotentialDuplication }},
	{name: "isExcluded", text: func(m *machine) defender.Text { return m.IsExcluded }},
	{name: "exclusionReason", text: func(m *machine) defender.Text { return m.ExclusionReason }},
	{name: "computerDnsName", text: func(m *machine) defender.Text { return m.ComputerDNSName }},
	{name: "firstSeen", text: func(m *machine) defender.Text { return stamp(m.FirstSeen) }},
	{name: "lastSeen", text: func(m *machine) defender.Text { return stamp(m.LastSeen) }},
	{name: "osPlatform", text: func(m *machine) defender.Text { return m.OSPlatform }},
	{name: "osVersion", text: func(m *machine) defender.Text { return m.OSVersion }},
	{name: "osProcessor", text: func(m *machine) defender.Text { return m.OSProcessor }},
	{name: "osArchitecture", text: func(m *machine) defender.Text { return m.OSArchitecture }},
	{name: "version", text: func(m *machine) defender.Text { return m.Version }},
	{name: "osBuild", text: func(m *machine) defender.Text { return m.OSBuild }},
	{name: "agentVersion", text: func(m *machine) defender.Text { return m.AgentVersion }},
	{name: "lastIpAddress", text: func(m *machine) defender.Text { return m.LastIPAddress }},
	{name: "lastExternalIpAddress", text: func(m *machine) defender.Text { return m.LastExternalIPAddress }},
	{name: "ipAddresses[].ipAddress", texts: addresses(func(a *defender.IPAddress) defender.Text { return a.IPAddress })},
	{name: "ipAddresses[].macAddress", texts: addresses(func(a *defender.IPAddress) defender.Text { return a.MacAddress })},
	{name: "ipAddresses[].type", texts: addresses(func(a *defender.IPAddress) defender.Text { return a.Type })},
	{name: "ipAddresses[].operationalStatus", texts: addresses(func(a *defender.IPAddress) defender.Text { return a.OperationalStatus })},
	{name: "healthStatus", text: func(m *machine) defender.Text { return m.HealthStatus }},
	{name: "deviceValue", text: func(m *machine) defender.Text { return m.DeviceValue }},
	{name: "rbacGroupId", text: func(m *machine) defender.Text { return m.RbacGroupID }},
	{name: "rbacGroupName", text: func(m *machine) defender.Text { return m.RbacGroupName }},
	{name: "riskScore", text: func(m *machine) defender.Text { return m.RiskScore }},
	{name: "exposureLevel", text: func(m *machine) defender.Text { return m.ExposureLevel }},
	{name: "isAadJoined", text: func(m *machine) defender.Text { return m.IsAadJoined }},
	{name: "aadDeviceId", text: func(m *machine) defender.Text { return m.AadDeviceID }},
	{name: "machineTags", list: func(m *machine) []string { return m.MachineTags }},
	{name: "onboardingStatus", text: func(m *machine) defender.Text { return m.OnboardingStatus }},
	{name: "managedBy", text: func(m *machine) defender.Text { return m.ManagedBy }},
	{name: "managedByStatus", text: func(m *machine) defender.Text { return m.ManagedByStatus }},
	{name: "vmMetadata.vmId", text: func(m *machine) defender.Text { return m.VMID }},
	{name: "vmMetadata.cloudProvider", text: func(m *machine) defender.Text { return m.VMCloudProvider }},
	{name: "vmMetadata.resourceId", text: func(m *machine) defender.Text { return m.VMResourceID }},
	{name: "vmMetadata.subscriptionId", text: func(m *machine) defender.Text { return m.VMSubscriptionID }},
}}})

type antivirus = defender.DeviceAVInfo

var antivirusLayout = newLayout(muster.Antivirus, []table[antivirus]{{name: "antivirus", unknown: true, columns: []column[antivirus]{
	{name: "id", text: func(a *antivirus) defender.Text { return a.ID }},
	{name: "machineId", text: func(a *antivirus) defender.Text { return a.MachineID }},
	{name: "osKind", text: func(a *antivirus) defender.Text { return a.OSKind }},
	{name: "osPlatform", text: func(a *antivirus) defender.Text { return a.OSPlatform }},
	{name: "osVersion", text: func(a *antivirus) defender.Text { return a.OSVersion }},
	{name: "avMode", text: func(a *antivirus) defender.Text { return a.AVMode }},
	{name: "avSignatureVersion", text: func(a *antivirus) defender.Text { return a.AVSignatureVersion }},
	{name: "avEngineVersion", text: func(a *antivirus) defender.Text { return a.AVEngineVersion }},
	{name: "avPlatformVersion", text: func(a *antivirus) defender.Text { return a.AVPlatformVersion }},
	{name: "lastSeenTime", text: func(a *antivirus) defender.Text { return stamp(a.LastSeenTime) }},
	{name: "quickScanResult", text: func(a *antivirus) defender.Text { return a.QuickScanResult }},
	{name: "quickScanError", text: func(a *antivirus) defender.Text { return a.QuickScanError }},
	{name: "quickScanTime", text: func(a *antivirus) defender.Text { return stamp(a.QuickScanTime) }},
	{name: "fullScanResult", text: func(a *antivirus) defender.Text { return a.FullScanResult }},
	{name: "fullScanError", text: func(a *antivirus) defender.Text { return a.FullScanError }},
	{name: "fullScanTime", text: func(a *antivirus) defender.Text { return stamp(a.FullScanTime) }},
	{name: "dataRefreshTimestamp", text: func(a *antivirus) defender.Text { return stamp(a.DataRefreshTimestamp) }},
	{name: "avEngineUpdateTime", text: func(a *antivirus) defender.Text { return stamp(a.AVEngineUpdateTime) }},
	{name: "avSignatureUpdateTime", text: func(a *antivirus) defender.Text { return stamp(a.AVSignatureUpdateTime) }},
	{name: "avPlatformUpdateTime", text: func(a *antivirus) defender.Text { return stamp(a.AVPlatformUpdateTime) }},
	{name: "avIsSignatureUpToDate", text: func(a *antivirus) defender.Text { return a.AVIsSignatureUpToDate }},
	{name: "avIsEngineUpToDate", text: func(a *antivirus) defender.Text { return a.AVIsEngineUpToDate }},
	{name: "avIsPlatformUpToDate", text: func(a *antivirus) defender.Text { return a.AVIsPlatformUpToDate }},
	{name: "avSignaturePublishTime", text: func(a *antivirus) defender.Text { return stamp(a.AVSignaturePublishTime) }},
	{name: "avSignatureDataRefreshTime", text: func(a *antivirus) defender.Text { return stamp(a.AVSignatureDataRefreshTime) }},
	{name: "avModeDataRefreshTime", text: func(a *antivirus) defender.Text { return stamp(a.AVModeDataRefreshTime) }},
	{name: "cloudProtectionState", text: func(a *antivirus) defender.Text { return a.CloudProtectionState }},
}}})

type catalogued = defender.Vulnerability

var catalogueLayout = newLayout(muster.Catalogue, []table[catalogued]{{name: "vulnerability", unknown: true, columns: []column[catalogued]{
	{name: "id", text: func(v *catalogued) defender.Text { return v.ID }},
	{name: "name", text: func(v *catalogued) defender.Text { return v.Name }},
	{name: "description", text: func(v *catalogued) defender.Text { return v.Description }},
	{name: "severity", text: func(v *catalogued) defender.Text { return v.Severity }},
	{name: "cvssV3", text: func(v *catalogued) defender.Text { return v.CVSSV3 }},
	{name: "cvssVector", text: func(v *catalogued) defender.Text { return v.CVSSVector }},
	{name: "publishedOn", text: func(v *catalogued) defender.Text { return stamp(v.PublishedOn) }},
	{name: "updatedOn", text: func(v *catalogued) defender.Text { return stamp(v.UpdatedOn) }},
	{name: "publicExploit", text: func(v *catalogued) defender.Text { return v.PublicExploit }},
	{name: "exploitVerified", text: func(v *catalogued) defender.Text { return v.ExploitVerified }},
	{name: "exploitInKit", text: func(v *catalogued) defender.Text { return v.ExploitInKit }},
	{name: "exploitTypes", list: func(v *catalogued) []string { return v.ExploitTypes }},
	{name: "exploitUris", list: func(v *catalogued) []string { return v.ExploitUris }},
	{name: "patchFirstAvailable", text: func(v *catalogued) defender.Text { return stamp(v.PatchFirstAvailable) }},
	{name: "cveSupportability", text: func(v *catalogued) defender.Text { return v.CVESupportability }},
	{name: "tags", list: func(v *catalogued) []string { return v.Tags }},
	{name: "epss", text: func(v *catalogued) defender.Text { return v.EPSS }},
}}})

type vulnerability = defender.AssetVulnerability

var vulnerabilityLayout = newLayout(muster.Vulnerabilities, []table[vulnerability]{
	{name: "machine", columns: []column[vulnerability]{{name: "deviceId", text: func(v *vulnerability) defender.Text { return v.DeviceID }}}},
	{name: "exposure", columns: []column[vulnerability]{
		{name: "softwareVendor", text: func(v *vulnerability) defender.Text { return v.SoftwareVendor }},
		{name: "softwareName", text: func(v *vulnerability) defender.Text { return v.SoftwareName }},
		{name: "softwareVersion", text: func(v *vulnerability) defender.Text { return v.SoftwareVersion }},
		{name: "cveId", text: func(v *vulnerability) defender.Text { return v.CVEID }},
	}},
	{name: "facts", columns: []column[vulnerability]{
		{name: "vulnerabilitySeverityLevel", text: func(v *vulnerability) defender.Text { return v.VulnerabilitySeverityLevel }},
		{name: "cvssScore", text: func(v *vulnerability) defender.Text { return v.CVSSScore }},
		{name: "exploitabilityLevel", text: func(v *vulnerability) defender.Text { return v.ExploitabilityLevel }},
		{name: "recommendedSecurityUpdate", text: func(v *vulnerability) defender.Text { return v.RecommendedSecurityUpdate }},
		{name: "recommendedSecurityUpdateId", text: func(v *vulnerability) defender.Text { return v.RecommendedSecurityUpdateID }},
		{name: "recommendedSecurityUpdateUrl", text: func(v *vulnerability) defender.Text { return v.RecommendedSecurityUpdateURL }},
		{name: "securityUpdateAvailable", text: func(v *vulnerability) defender.Text { return v.SecurityUpdateAvailable }},
		{name: "recommendationReference", text: func(v *vulnerability) defender.Text { return v.RecommendationReference }},
		{name: "endOfSupportStatus", text: func(v *vulnerability) defender.Text { return v.EndOfSupportStatus }},
		{name: "endOfSupportDate", text: func(v *vulnerability) defender.Text { return v.EndOfSupportDate }},
		{name: "cveMitigationStatus", text: func(v *vulnerability) defender.Text { return v.CVEMitigationStatus }},
	}},
	{name: "evidence", columns: []column[vulnerability]{
		{name: "diskPaths", list: func(v *vulnerability) []string { return v.DiskPaths }},
		{name: "registryPaths", list: func(v *vulnerability) []string { return v.RegistryPaths }},
	}},
}, number[vulnerability]{"firstSeenTimestamp", func(v *vulnerability) time.Time { return v.FirstSeenTimestamp }},
	number[vulnerability]{"lastSeenTimestamp", func(v *vulnerability) time.Time { return v.LastSeenTimestamp }})

type configuration = defender.AssetConfiguration

var configurationLayout = newLayout(muster.Configuration, []table[configuration]{
	{name: "machine", columns: []column[configuration]{{name: "deviceId", text: func(c *configuration) defender.Text { return c.DeviceID }}}},
	{name: "configuration", columns: []column[configuration]{{name: "configurationId", text: func(c *configuration) defender.Text { return c.ConfigurationID }}}},
	{name: "facts", columns: []column[configuration]{
		{name: "configurationCategory", text: func(c *configuration) defender.Text { return c.ConfigurationCategory }},
		{name: "configurationSubcategory", text: func(c *configuration) defender.Text { return c.ConfigurationSubcategory }},
		{name: "configurationImpact", text: func(c *configuration) defender.Text { return c.ConfigurationImpact }},
		{name: "isCompliant", text: func(c *configuration) defender.Text { return c.IsCompliant }},
		{name: "isApplicable", text: func(c *configuration) defender.Text { return c.IsApplicable }},
		{name: "isExpectedUserImpact", text: func(c *configuration) defender.Text { return c.IsExpectedUserImpact }},
		{name: "configurationName", text: func(c *configuration) defender.Text { return c.ConfigurationName }},
		{name: "recommendationReference", text: func(c *configuration) defender.Text { return c.RecommendationReference }},
	}},
}, number[configuration]{"timestamp", func(c *configuration) time.Time { return c.Timestamp }})

type software = defender.AssetSoftware

var softwareLayout = newLayout(muster.Software, []table[software]{
	{name: "machine", columns: []column[software]{{name: "deviceId", text: func(s *software) defender.Text { return s.DeviceID }}}},
	{name: "software", columns: []column[software]{
		{name: "softwareVendor", text: func(s *software) defender.Text { return s.SoftwareVendor }},
		{name: "softwareName", text: func(s *software) defender.Text { return s.SoftwareName }},
		{name: "softwareVersion", text: func(s *software) defender.Text { return s.SoftwareVersion }},
	}},
	{name: "facts", columns: []column[software]{
		{name: "endOfSupportStatus", text: func(s *software) defender.Text { return s.EndOfSupportStatus }},
		{name: "endOfSupportDate", text: func(s *software) defender.Text { return s.EndOfSupportDate }},
	}},
	{name: "evidence", columns: []column[software]{
		{name: "diskPaths", list: func(s *software) []string { return s.DiskPaths }},
		{name: "registryPaths", list: func(s *software) []string { return s.RegistryPaths }},
	}},
}, number[software]{"softwareFirstSeenTimestamp", func(s *software) time.Time { return s.SoftwareFirstSeenTimestamp }})

type otherSoftware = defender.AssetNonCPESoftware

// otherSoftwareLayout is software without a product code: the same dataset by another export.
var otherSoftwareLayout = newLayout(muster.Software, []table[otherSoftware]{
	{name: "machine", columns: []column[otherSoftware]{{name: "deviceId", text: func(s *otherSoftware) defender.Text { return s.DeviceID }}}},
	{name: "software", columns: []column[otherSoftware]{
		{name: "softwareVendor", text: func(s *otherSoftware) defender.Text { return s.SoftwareVendor }},
		{name: "softwareName", text: func(s *otherSoftware) defender.Text { return s.SoftwareName }},
		{name: "softwareVersion", text: func(s *otherSoftware) defender.Text { return s.SoftwareVersion }},
	}},
	// This export says nothing of support; an absent value keeps the shape of the other's rows.
	{name: "facts", columns: []column[otherSoftware]{{name: "endOfSupportStatus", text: func(*otherSoftware) defender.Text { return defender.Text{} }}}},
	{name: "evidence", columns: []column[otherSoftware]{
		{name: "registryPaths", list: func(s *otherSoftware) []string {
			if !s.RegistryPath.Valid || s.RegistryPath.Value == "" {
				return nil
			}
			return []string{s.RegistryPath.Value}
		}},
	}},
}, number[otherSoftware]{"softwareLastSeenTimestamp", func(s *otherSoftware) time.Time { return s.SoftwareLastSeenTimestamp }})
