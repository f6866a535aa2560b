package mapping

import (
	"fmt"
	"maps"
	"strings"

	"muster/internal/wire"
)

const (
	informationDataset = "information"
	// infoPrefix marks the columns of the keys inside DeviceGatheredInfo.
	infoPrefix      = "info."
	rest            = "*" // the column of unknown properties
	postureUnmapped = "Security.Posture.Unmapped"
)

// posture pairs a key inside DeviceGatheredInfo, whose case varies, with its target.
func posture(key, target string, t transform, notes string) Attribute {
	a := kept("DeviceGatheredInfo."+key, "Security.Posture."+target, t, "", notes)
	a.reads = []string{infoPrefix + key}
	return a
}

// information is the security posture that the device itself has gathered.
func information() table {
	t := table{
		dataset: informationDataset, dataType: "Security", endpoint: "GET /api/machines/InfoGatheringExport", permission: "Vulnerability.Read.All",
		attributes: []Attribute{
			heartbeat("Timestamp", "Security.Posture.Timestamp", "No zone in the text: UTC"),
			heartbeat("LastSeenTime", "Security.Posture.LastSeenTime", "No zone in the text: UTC"),
			posture("AvScanResults", "AvScanResults", asGiven, "JSON text: last quick and full scan"),
			posture("AvIsSignatureUptoDate", "AvIsSignatureUpToDate", enum("True", "False", "Unknown"), "Text or boolean at the source"),
			posture("AvIsEngineUptodate", "AvIsEngineUpToDate", enum("True", "False", "Unknown"), "Text or boolean at the source"),
			posture("AvIsPlatformUptodate", "AvIsPlatformUpToDate", enum("True", "False", "Unknown"), "Text or boolean at the source"),
		},
		unused: assessed(),
	}
	for _, key := range []string{
		"AvMode", "AvEngineVersion", "AvSignatureVersion", "AvPlatformVersion", "CloudProtectionState", "AvSignatureRing", "AvPlatformRing", "AvEngineRing",
		"WdavorHeartbeatEventType", "Log4j_CVE_2021_44228", "LocalCveScannerExecuted", "Log4jLocalScanVulnerable", "Log4JEnvironmentVariableMitigation",
		"Spring4Shell_CVE_2022_22965", "Bootiful_Mind_status", "EBPFStatus", "IsAvEngineLoaded",
	} {
		t.attributes = append(t.attributes, posture(key, key, asGiven, ""))
	}
	for _, key := range []string{
		"AvModeDataRefreshTime", "AvEngineUpdateTime", "AvSignatureUpdateTime", "AvPlatformUpdateTime", "AvSignaturePublishTime", "AvSignatureDataRefreshTime",
		"AvPlatformPublishTime", "AvPlatformExpirationTime", "AvEnginePublishTime",
	} {
		a := posture(key, key, dated, "")
		a.Heartbeat = strings.HasSuffix(key, "DataRefreshTime")
		t.attributes = append(t.attributes, a)
	}
	unknown := kept("DeviceGatheredInfo.*", postureUnmapped, leftover, "", "Kept raw, so that nothing new at the source is lost")
	unknown.reads = []string{} // addPosture finds its columns
	t.attributes = append(t.attributes, unknown)
	return t
}

// addPosture gathers the unknown keys inside DeviceGatheredInfo, and the unknown
// properties beside it, into one object; in other datasets, and for other names, an
// unknown column is an error.
func (p *Plan) addPosture(dataset string, columns []wire.Column, known map[string]bool) error {
	f := field{key: append(AppendString(nil, postureUnmapped), ':'), append: appendKeys}
	for i, c := range columns {
		if known[strings.ToLower(c.Name)] {
			continue
		}
		key, inside := strings.CutPrefix(c.Name, infoPrefix)
		if dataset != informationDataset || c.Kind != wire.Text || !inside && key != rest {
			return fmt.Errorf("the attribute table of %s knows no column %q", dataset, c.Name)
		}
		f.names, f.at = append(f.names, key), append(f.at, []int{i})
	}
	if f.names != nil {
		p.fields = append(p.fields, f)
	}
	return nil
}

func appendKeys(buf []byte, in *source) ([]byte, error) {
	object := map[string]any{}
	for i, name := range in.names {
		if name == rest {
			more, err := in.object(i)
			if err != nil {
				return buf, err
			}
			maps.Copy(object, more)
		} else if text, ok := in.text(i); ok {
			object[name] = text
		}
	}
	return appendMembers(buf, object)
}
