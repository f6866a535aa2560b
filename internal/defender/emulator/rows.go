package emulator

// The rows of this file are the far side's own: property names and order follow
// the service's $metadata (May 2026). They share no code with package defender,
// so that a misreading there cannot hide itself here.

// Machine is one entity of GET /api/machines.
type Machine struct {
	ID                     string      `json:"id"`
	MergedIntoMachineID    *string     `json:"mergedIntoMachineId"`
	IsPotentialDuplication bool        `json:"isPotentialDuplication"`
	IsExcluded             bool        `json:"isExcluded"`
	ExclusionReason        *string     `json:"exclusionReason"`
	ComputerDNSName        *string     `json:"computerDnsName"`
	FirstSeen              *string     `json:"firstSeen"` // RFC 3339, 0 to 7 fraction digits
	LastSeen               *string     `json:"lastSeen"`
	OSPlatform             *string     `json:"osPlatform"`
	OSVersion              *string     `json:"osVersion"`
	OSProcessor            *string     `json:"osProcessor"`
	Version                *string     `json:"version"`
	LastIPAddress          *string     `json:"lastIpAddress"`
	LastExternalIPAddress  *string     `json:"lastExternalIpAddress"`
	AgentVersion           *string     `json:"agentVersion"`
	OSBuild                *int64      `json:"osBuild"`
	HealthStatus           string      `json:"healthStatus"`
	DeviceValue            string      `json:"deviceValue"`
	RbacGroupID            int32       `json:"rbacGroupId"`
	RbacGroupName          *string     `json:"rbacGroupName"`
	RiskScore              *string     `json:"riskScore"`
	ExposureLevel          string      `json:"exposureLevel"`
	IsAadJoined            *bool       `json:"isAadJoined"`
	AadDeviceID            *string     `json:"aadDeviceId"`
	MachineTags            []string    `json:"machineTags"`
	OnboardingStatus       string      `json:"onboardingStatus"`
	OSArchitecture         *string     `json:"osArchitecture"`
	ManagedBy              string      `json:"managedBy"`
	ManagedByStatus        string      `json:"managedByStatus"`
	IPAddresses            []IPAddress `json:"ipAddresses"`
	VMMetadata             *VMMetadata `json:"vmMetadata"`
}

// IPAddress is one element of Machine.IPAddresses.
type IPAddress struct {
	IPAddress         *string `json:"ipAddress"`
	MacAddress        *string `json:"macAddress"`
	Type              *string `json:"type"`
	OperationalStatus *string `json:"operationalStatus"`
}

// VMMetadata is the cloud identity of a machine.
type VMMetadata struct {
	VMID           *string `json:"vmId"`
	CloudProvider  string  `json:"cloudProvider"`
	ResourceID     *string `json:"resourceId"`
	SubscriptionID *string `json:"subscriptionId"`
}

// DeviceAVInfo is one entity of GET /api/deviceavinfo.
type DeviceAVInfo struct {
	ID                         string  `json:"id"`
	MachineID                  *string `json:"machineId"`
	ComputerDNSName            *string `json:"computerDnsName"`
	OSKind                     *string `json:"osKind"`
	OSPlatform                 *string `json:"osPlatform"`
	OSVersion                  *string `json:"osVersion"`
	AVMode                     *string `json:"avMode"`
	AVSignatureVersion         *string `json:"avSignatureVersion"`
	AVEngineVersion            *string `json:"avEngineVersion"`
	AVPlatformVersion          *string `json:"avPlatformVersion"`
	LastSeenTime               string  `json:"lastSeenTime"`
	QuickScanResult            *string `json:"quickScanResult"`
	QuickScanError             *string `json:"quickScanError"`
	QuickScanTime              *string `json:"quickScanTime"`
	FullScanResult             *string `json:"fullScanResult"`
	FullScanError              *string `json:"fullScanError"`
	FullScanTime               *string `json:"fullScanTime"`
	DataRefreshTimestamp       string  `json:"dataRefreshTimestamp"`
	AVEngineUpdateTime         *string `json:"avEngineUpdateTime"`
	AVSignatureUpdateTime      *string `json:"avSignatureUpdateTime"`
	AVPlatformUpdateTime       *string `json:"avPlatformUpdateTime"`
	AVIsSignatureUpToDate      *string `json:"avIsSignatureUpToDate"` // "True", "False", "Unknown"
	AVIsEngineUpToDate         *string `json:"avIsEngineUpToDate"`
	AVIsPlatformUpToDate       *string `json:"avIsPlatformUpToDate"`
	AVSignaturePublishTime     *string `json:"avSignaturePublishTime"`
	AVSignatureDataRefreshTime *string `json:"avSignatureDataRefreshTime"`
	CloudProtectionState       *string `json:"cloudProtectionState"`
	AVModeDataRefreshTime      *string `json:"avModeDataRefreshTime"`
	RbacGroupName              *string `json:"rbacGroupName"`
	RbacGroupID                *int64  `json:"rbacGroupId"`
}

// AssetVulnerability is one row of SoftwareVulnerabilitiesByMachine and, recased, of its export.
// CVEID is nil for software without a known CVE.
type AssetVulnerability struct {
	ID                           *string  `json:"id"`
	DeviceID                     *string  `json:"deviceId"`
	RbacGroupID                  int64    `json:"rbacGroupId"`
	RbacGroupName                *string  `json:"rbacGroupName"`
	DeviceName                   *string  `json:"deviceName"`
	OSPlatform                   *string  `json:"osPlatform"`
	OSVersion                    *string  `json:"osVersion"`
	OSArchitecture               *string  `json:"osArchitecture"`
	SoftwareVendor               *string  `json:"softwareVendor"`
	SoftwareName                 *string  `json:"softwareName"`
	SoftwareVersion              *string  `json:"softwareVersion"`
	CVEID                        *string  `json:"cveId"`
	VulnerabilitySeverityLevel   *string  `json:"vulnerabilitySeverityLevel"`
	RecommendedSecurityUpdate    *string  `json:"recommendedSecurityUpdate"`
	RecommendedSecurityUpdateID  *string  `json:"recommendedSecurityUpdateId"`
	RecommendedSecurityUpdateURL *string  `json:"recommendedSecurityUpdateUrl"`
	DiskPaths                    []string `json:"diskPaths"`
	RegistryPaths                []string `json:"registryPaths"`
	LastSeenTimestamp            *string  `json:"lastSeenTimestamp"` // "2006-01-02 15:04:05[.fffffff]", no zone, UTC
	FirstSeenTimestamp           *string  `json:"firstSeenTimestamp"`
	EndOfSupportStatus           *string  `json:"endOfSupportStatus"`
	EndOfSupportDate             *string  `json:"endOfSupportDate"`
	ExploitabilityLevel          *string  `json:"exploitabilityLevel"`
	RecommendationReference      *string  `json:"recommendationReference"`
	CVSSScore                    float64  `json:"cvssScore"`
	SecurityUpdateAvailable      bool     `json:"securityUpdateAvailable"`
	CVEMitigationStatus          *string  `json:"cveMitigationStatus"`
}

// AssetConfiguration is one row of SecureConfigurationsAssessmentByMachine and of its export.
type AssetConfiguration struct {
	DeviceID                 *string `json:"deviceId"`
	RbacGroupID              int64   `json:"rbacGroupId"`
	RbacGroupName            *string `json:"rbacGroupName"`
	DeviceName               *string `json:"deviceName"`
	OSPlatform               *string `json:"osPlatform"`
	OSVersion                *string `json:"osVersion"`
	Timestamp                *string `json:"timestamp"` // no zone, UTC
	ConfigurationID          *string `json:"configurationId"`
	ConfigurationCategory    *string `json:"configurationCategory"`
	ConfigurationSubcategory *string `json:"configurationSubcategory"`
	ConfigurationImpact      float64 `json:"configurationImpact"`
	IsCompliant              bool    `json:"isCompliant"`
	IsApplicable             bool    `json:"isApplicable"`
	IsExpectedUserImpact     bool    `json:"isExpectedUserImpact"`
	ConfigurationName        *string `json:"configurationName"`
	RecommendationReference  *string `json:"recommendationReference"`
}

// AssetSoftware is one row of SoftwareInventoryByMachine and of its export.
type AssetSoftware struct {
	DeviceID                   *string  `json:"deviceId"`
	RbacGroupID                int64    `json:"rbacGroupId"`
	RbacGroupName              *string  `json:"rbacGroupName"`
	DeviceName                 *string  `json:"deviceName"`
	OSPlatform                 *string  `json:"osPlatform"`
	SoftwareVendor             *string  `json:"softwareVendor"`
	SoftwareName               *string  `json:"softwareName"`
	SoftwareVersion            *string  `json:"softwareVersion"`
	NumberOfWeaknesses         int32    `json:"numberOfWeaknesses"`
	DiskPaths                  []string `json:"diskPaths"`
	RegistryPaths              []string `json:"registryPaths"`
	SoftwareFirstSeenTimestamp *string  `json:"softwareFirstSeenTimestamp"`
	EndOfSupportStatus         *string  `json:"endOfSupportStatus"`
	EndOfSupportDate           *string  `json:"endOfSupportDate"`
}

// AssetNonCPESoftware is one row of SoftwareInventoryNoProductCodeByMachine and of
// SoftwareInventoryNonCpeExport: software without a product code.
type AssetNonCPESoftware struct {
	DeviceID                  *string `json:"deviceId"`
	RbacGroupID               int64   `json:"rbacGroupId"`
	RbacGroupName             *string `json:"rbacGroupName"`
	DeviceName                *string `json:"deviceName"`
	OSPlatform                *string `json:"osPlatform"`
	SoftwareVendor            *string `json:"softwareVendor"`
	SoftwareName              *string `json:"softwareName"`
	SoftwareVersion           *string `json:"softwareVersion"`
	SoftwareLastSeenTimestamp *string `json:"softwareLastSeenTimestamp"`
	RegistryPath              *string `json:"registryPath"`
}

// Vulnerability is one entity of GET /api/vulnerabilities.
type Vulnerability struct {
	ID                  string   `json:"id"`
	Name                *string  `json:"name"`
	Description         *string  `json:"description"`
	Severity            *string  `json:"severity"`
	CVSSV3              float64  `json:"cvssV3"`
	CVSSVector          *string  `json:"cvssVector"`
	ExposedMachines     int64    `json:"exposedMachines"`
	PublishedOn         string   `json:"publishedOn"`
	UpdatedOn           string   `json:"updatedOn"`
	FirstDetected       *string  `json:"firstDetected"`
	PatchFirstAvailable *string  `json:"patchFirstAvailable"`
	PublicExploit       bool     `json:"publicExploit"`
	ExploitVerified     bool     `json:"exploitVerified"`
	ExploitInKit        bool     `json:"exploitInKit"`
	ExploitTypes        []string `json:"exploitTypes"`
	ExploitUris         []string `json:"exploitUris"`
	CVESupportability   *string  `json:"cveSupportability"`
	Tags                []string `json:"tags"`
	EPSS                float64  `json:"epss"`
	Status              string   `json:"status"`
}

// InfoGathering is one line of InfoGatheringExport; DeviceGatheredInfo is JSON inside a string.
type InfoGathering struct {
	RbacGroupName      *string `json:"RbacGroupName"`
	Timestamp          *string `json:"Timestamp"`
	LastSeenTime       *string `json:"LastSeenTime"`
	DeviceName         *string `json:"DeviceName"`
	OSPlatform         *string `json:"OsPlatform"`
	OSVersion          *string `json:"OsVersion"`
	DeviceGatheredInfo *string `json:"DeviceGatheredInfo"`
	DeviceID           *string `json:"DeviceId"`
	RbacGroupID        int64   `json:"RbacGroupId"`
}
