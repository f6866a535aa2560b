package defender

import (
	"context"
	"iter"
	"time"
)

// DeviceAVInfo is one entity of GET /api/deviceavinfo
// (device-health-api-methods-properties.md and $metadata). ID is the machine's
// id too, where MachineID is missing.
type DeviceAVInfo struct {
	MachineID                  Text      `mde:"machineId,machine"`
	ID                         Text      `mde:"id,machine"`
	ComputerDNSName            Text      `mde:"computerDnsName"`
	OSKind                     Text      `mde:"osKind"` // windows, mac, linux
	OSPlatform                 Text      `mde:"osPlatform"`
	OSVersion                  Text      `mde:"osVersion"`
	AVMode                     Text      `mde:"avMode"` // "0" active … "5" passive audit
	AVSignatureVersion         Text      `mde:"avSignatureVersion"`
	AVEngineVersion            Text      `mde:"avEngineVersion"`
	AVPlatformVersion          Text      `mde:"avPlatformVersion"`
	LastSeenTime               time.Time `mde:"lastSeenTime"`
	QuickScanResult            Text      `mde:"quickScanResult"`
	QuickScanError             Text      `mde:"quickScanError"`
	QuickScanTime              time.Time `mde:"quickScanTime"`
	FullScanResult             Text      `mde:"fullScanResult"`
	FullScanError              Text      `mde:"fullScanError"`
	FullScanTime               time.Time `mde:"fullScanTime"`
	DataRefreshTimestamp       time.Time `mde:"dataRefreshTimestamp"`
	AVEngineUpdateTime         time.Time `mde:"avEngineUpdateTime"`
	AVSignatureUpdateTime      time.Time `mde:"avSignatureUpdateTime"`
	AVPlatformUpdateTime       time.Time `mde:"avPlatformUpdateTime"`
	AVIsSignatureUpToDate      Text      `mde:"avIsSignatureUpToDate"` // "True", "False", "Unknown"
	AVIsEngineUpToDate         Text      `mde:"avIsEngineUpToDate"`
	AVIsPlatformUpToDate       Text      `mde:"avIsPlatformUpToDate"`
	AVSignaturePublishTime     time.Time `mde:"avSignaturePublishTime"`
	AVSignatureDataRefreshTime time.Time `mde:"avSignatureDataRefreshTime"`
	CloudProtectionState       Text      `mde:"cloudProtectionState"`
	AVModeDataRefreshTime      time.Time `mde:"avModeDataRefreshTime"`
	RbacGroupName              Text      `mde:"rbacGroupName"`
	RbacGroupID                Text      `mde:"rbacGroupId,number"`
}

const antivirusPath = "/api/deviceavinfo"

var antivirusShape = newShape[DeviceAVInfo]()

// AntivirusHealth reads the antivirus state of every machine. The service was
// seen to stop at 10,000 rows without a next link (microsoft-365-docs #9713), so
// it is read by $skip until an empty page; a next link is followed where it comes.
func (c *Client) AntivirusHealth(ctx context.Context) iter.Seq2[Row[DeviceAVInfo], error] {
	return read(ctx, c, GroupAssessment, antivirusShape, func(l *lister[DeviceAVInfo]) error {
		return l.skip(antivirusPath, "", entityPage)
	})
}
