package defender

import (
	"context"
	"iter"
	"time"
)

// AssetSoftware is one row of SoftwareInventoryByMachine and of its export:
// software with a product code (CPE) on one machine. It has no id: machine,
// vendor, name and version identify it
// (api/get-assessment-software-inventory.md and $metadata).
type AssetSoftware struct {
	DeviceID                   Text      `mde:"deviceId,machine"`
	RbacGroupID                Text      `mde:"rbacGroupId,number"`
	RbacGroupName              Text      `mde:"rbacGroupName"`
	DeviceName                 Text      `mde:"deviceName"`
	OSPlatform                 Text      `mde:"osPlatform"`
	SoftwareVendor             Text      `mde:"softwareVendor"`
	SoftwareName               Text      `mde:"softwareName"`
	SoftwareVersion            Text      `mde:"softwareVersion"`
	NumberOfWeaknesses         Text      `mde:"numberOfWeaknesses,number"`
	DiskPaths                  []string  `mde:"diskPaths"`
	RegistryPaths              []string  `mde:"registryPaths"`
	SoftwareFirstSeenTimestamp time.Time `mde:"softwareFirstSeenTimestamp"`
	EndOfSupportStatus         Text      `mde:"endOfSupportStatus"`
	EndOfSupportDate           Text      `mde:"endOfSupportDate,date"`
}

// AssetNonCPESoftware is one row of SoftwareInventoryNoProductCodeByMachine and
// of its export: software without a product code
// (api/get-assessment-non-cpe-software-inventory.md and $metadata).
type AssetNonCPESoftware struct {
	DeviceID                  Text      `mde:"deviceId,machine"`
	RbacGroupID               Text      `mde:"rbacGroupId,number"`
	RbacGroupName             Text      `mde:"rbacGroupName"`
	DeviceName                Text      `mde:"deviceName"`
	OSPlatform                Text      `mde:"osPlatform"`
	SoftwareVendor            Text      `mde:"softwareVendor"`
	SoftwareName              Text      `mde:"softwareName"`
	SoftwareVersion           Text      `mde:"softwareVersion"`
	SoftwareLastSeenTimestamp time.Time `mde:"softwareLastSeenTimestamp"`
	RegistryPath              Text      `mde:"registryPath"`
}

var (
	softwareShape       = newShape[AssetSoftware]()
	nonCPESoftwareShape = newShape[AssetNonCPESoftware]()
)

// SoftwareFile reads one file of a SoftwareExport; see VulnerabilityFile.
func (c *Client) SoftwareFile(ctx context.Context, f File) iter.Seq2[Row[AssetSoftware], error] {
	return readFile(ctx, c, softwareShape, f)
}

// NonCPESoftwareFile reads one file of a NonCPESoftwareExport; see VulnerabilityFile.
func (c *Client) NonCPESoftwareFile(ctx context.Context, f File) iter.Seq2[Row[AssetNonCPESoftware], error] {
	return readFile(ctx, c, nonCPESoftwareShape, f)
}
