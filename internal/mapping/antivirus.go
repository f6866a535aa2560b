package mapping

// antivirus is the antivirus health of a device; property names lose a leading "av".
func antivirus() table {
	return table{
		dataset: "antivirus", dataType: "Security", endpoint: "GET /api/deviceavinfo", permission: "Machine.Read.All",
		attributes: []Attribute{
			kept("avMode", "Security.Antivirus.Mode", asGiven, "0 active, 1 passive, 2 disabled, 3 other, 4 EDR blocked, 5 passive audit; empty = other", "The source's text"),
			kept("avEngineVersion", "Security.Antivirus.EngineVersion", asGiven, "", ""),
			kept("avSignatureVersion", "Security.Antivirus.SignatureVersion", asGiven, "", ""),
			kept("avPlatformVersion", "Security.Antivirus.PlatformVersion", asGiven, "", ""),
			kept("avIsEngineUpToDate", "Security.Antivirus.IsEngineUpToDate", enum("True", "False", "Unknown"), "", "Text at the source"),
			kept("avIsSignatureUpToDate", "Security.Antivirus.IsSignatureUpToDate", enum("True", "False", "Unknown"), "", "Text at the source"),
			kept("avIsPlatformUpToDate", "Security.Antivirus.IsPlatformUpToDate", enum("True", "False", "Unknown"), "", "Text at the source"),
			kept("avEngineUpdateTime", "Security.Antivirus.EngineUpdateTime", moment, "UTC", ""),
			kept("avSignatureUpdateTime", "Security.Antivirus.SignatureUpdateTime", moment, "UTC", ""),
			kept("avPlatformUpdateTime", "Security.Antivirus.PlatformUpdateTime", moment, "UTC", ""),
			kept("avSignaturePublishTime", "Security.Antivirus.SignaturePublishTime", moment, "UTC", ""),
			heartbeat("avSignatureDataRefreshTime", "Security.Antivirus.SignatureDataRefreshTime", ""),
			heartbeat("avModeDataRefreshTime", "Security.Antivirus.ModeDataRefreshTime", ""),
			kept("quickScanResult", "Security.Antivirus.QuickScanResult", asGiven, "Completed, Canceled, Failed, empty, - outside Windows", ""),
			kept("quickScanError", "Security.Antivirus.QuickScanError", asGiven, "HRESULT or empty", ""),
			kept("quickScanTime", "Security.Antivirus.QuickScanTime", moment, "UTC", ""),
			kept("fullScanResult", "Security.Antivirus.FullScanResult", asGiven, "Completed, Canceled, Failed, empty, - outside Windows", ""),
			kept("fullScanError", "Security.Antivirus.FullScanError", asGiven, "HRESULT or empty", ""),
			kept("fullScanTime", "Security.Antivirus.FullScanTime", moment, "UTC", ""),
			kept("cloudProtectionState", "Security.Antivirus.CloudProtectionState", asGiven, "", ""),
			kept("osKind", "Security.Antivirus.OsKind", asGiven, "windows, mac, linux", ""),
			kept("osPlatform", "Security.Antivirus.OsPlatform", asGiven, "", "May differ from the machine list's"),
			kept("osVersion", "Security.Antivirus.OsVersion", asGiven, "", "Full version, which the machine list lacks"),
			heartbeat("lastSeenTime", "Security.Antivirus.LastSeenTime", ""),
			heartbeat("dataRefreshTimestamp", "Security.Antivirus.DataRefreshTimestamp", "As of when all of this is"),
			kept("*", "Security.Antivirus.Unmapped", leftover, "", "Kept raw, so that nothing new at the source is lost"),
		},
		unused: []Unused{
			{Source: "id", Reason: "the machine's id, as in Discovery.MDE.MachineId"},
			{Source: "machineId", Reason: "the machine's id, as in Discovery.MDE.MachineId"},
			{Source: "computerDnsName", Reason: "same as the machine's"},
			{Source: "rbacGroupName", Reason: "same as the machine's"},
			{Source: "rbacGroupId", Reason: "same as the machine's"},
		},
	}
}
