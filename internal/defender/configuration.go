package defender

import (
	"context"
	"iter"
	"time"
)

// AssetConfiguration is one row of SecureConfigurationsAssessmentByMachine and
// of its export: one check on one machine
// (api/get-assessment-secure-config.md and $metadata).
type AssetConfiguration struct {
	DeviceID                 Text      `mde:"deviceId,machine"`
	RbacGroupID              Text      `mde:"rbacGroupId,number"`
	RbacGroupName            Text      `mde:"rbacGroupName"`
	DeviceName               Text      `mde:"deviceName"`
	OSPlatform               Text      `mde:"osPlatform"`
	OSVersion                Text      `mde:"osVersion"`
	Timestamp                time.Time `mde:"timestamp"`
	ConfigurationID          Text      `mde:"configurationId"` // "scid-10000"
	ConfigurationCategory    Text      `mde:"configurationCategory"`
	ConfigurationSubcategory Text      `mde:"configurationSubcategory"`
	ConfigurationImpact      Text      `mde:"configurationImpact,number"` // 1–10
	IsCompliant              Text      `mde:"isCompliant,boolean"`
	IsApplicable             Text      `mde:"isApplicable,boolean"`
	IsExpectedUserImpact     Text      `mde:"isExpectedUserImpact,boolean"`
	ConfigurationName        Text      `mde:"configurationName"`
	RecommendationReference  Text      `mde:"recommendationReference"`
}

var configurationShape = newShape[AssetConfiguration]()

// ConfigurationFile reads one file of a ConfigurationExport; see VulnerabilityFile.
func (c *Client) ConfigurationFile(ctx context.Context, f File) iter.Seq2[Row[AssetConfiguration], error] {
	return readFile(ctx, c, configurationShape, f)
}
