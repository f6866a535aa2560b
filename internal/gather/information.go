package gather

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"muster"
	"muster/internal/defender"
)

type information = defender.InfoGathering

// gatheredKeys are the known keys inside DeviceGatheredInfo (mde-api §11). Their case
// varies at the source; anything else is kept with the unknown properties.
var gatheredKeys = []string{
	"AvMode", "AvEngineVersion", "AvSignatureVersion", "AvPlatformVersion", "AvScanResults", "AvModeDataRefreshTime", "CloudProtectionState",
	"AvEngineUpdateTime", "AvSignatureUpdateTime", "AvPlatformUpdateTime", "AvIsSignatureUptoDate", "AvIsEngineUptodate", "AvIsPlatformUptodate", "AvSignaturePublishTime",
	"AvSignatureDataRefreshTime", "AvPlatformPublishTime", "AvPlatformExpirationTime", "AvEnginePublishTime", "AvSignatureRing", "AvPlatformRing", "AvEngineRing",
	"WdavorHeartbeatEventType", "Log4j_CVE_2021_44228", "LocalCveScannerExecuted", "Log4jLocalScanVulnerable", "Log4JEnvironmentVariableMitigation",
	"Spring4Shell_CVE_2022_22965", "Bootiful_Mind_status", "EBPFStatus", "IsAvEngineLoaded",
}

var informationLayout = newLayout(muster.Information, []table[information]{{name: "information", unknown: true, columns: informationColumns()}})

func informationColumns() []column[information] {
	columns := []column[information]{
		{name: "deviceId", text: func(i *information) defender.Text { return i.DeviceID }},
		{name: "timestamp", text: func(i *information) defender.Text { return stamp(i.Timestamp) }},
		{name: "lastSeenTime", text: func(i *information) defender.Text { return stamp(i.LastSeenTime) }},
	}
	for _, key := range gatheredKeys {
		columns = append(columns, column[information]{name: "info." + key, text: func(i *information) defender.Text {
			for _, g := range i.Info {
				if strings.EqualFold(g.Name, key) {
					return g.Text
				}
			}
			return defender.Text{}
		}})
	}
	return columns
}

// informationFile reads a file and hands on the keys that nobody knows as unknown properties.
func (r *Run) informationFile(ctx context.Context, f defender.File) iter.Seq2[defender.Row[information], error] {
	return func(yield func(defender.Row[information], error) bool) {
		for row, err := range r.Client.InformationFile(ctx, f) {
			if row.Value != nil {
				row.Unknown = append(row.Unknown, unknownKeys(row.Value.Info)...)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func unknownKeys(info []defender.Gathered) []defender.Member {
	var unknown []defender.Member
	for _, g := range info {
		if !g.Text.Valid || slices.ContainsFunc(gatheredKeys, func(key string) bool { return strings.EqualFold(key, g.Name) }) {
			continue
		}
		value, err := json.Marshal(g.Text.Value)
		if err != nil {
			continue // a text always encodes
		}
		unknown = append(unknown, defender.Member{Name: g.Name, Value: value})
	}
	return unknown
}
