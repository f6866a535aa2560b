package emulator

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// attributeNames are the target attributes of the data types Device and Security that a
// machine has for itself; those of information gathering stay absent, for it is off.
var attributeNames = strings.Fields(`
Discovery.MDE.MachineId DeviceName DisplayName Network.TCPIP.HostName Network.TCPIP.FQDN AzureAD.DeviceId AzureAD.IsJoined OS.Name OS.Platform OS.Version OS.VersionRaw OS.BuildNumber OS.Architecture
Processor.Architecture Network.TCPIP.Address Network.ExternalAddress Network.TCPIP.BoundAdapter Discovery.MDE.FirstSeen Discovery.MDE.LastSeen Discovery.MDE.Tags
Discovery.MDE.DeviceGroup.Id Discovery.MDE.DeviceGroup.Name Discovery.MDE.DeviceValue Discovery.MDE.ManagedBy Discovery.MDE.ManagedByStatus Security.MDE.SensorVersion Discovery.MDE.MergedInto
Discovery.MDE.PotentialDuplicate Discovery.MDE.Excluded Discovery.MDE.ExclusionReason Cloud.VmId Cloud.Provider Cloud.ResourceId Cloud.SubscriptionId Discovery.MDE.Unmapped
Security.MDE.HealthStatus Security.MDE.OnboardingStatus Security.MDE.RiskScore Security.MDE.ExposureLevel
Security.Antivirus.Mode Security.Antivirus.EngineVersion Security.Antivirus.SignatureVersion Security.Antivirus.PlatformVersion Security.Antivirus.IsEngineUpToDate Security.Antivirus.IsSignatureUpToDate
Security.Antivirus.IsPlatformUpToDate Security.Antivirus.EngineUpdateTime Security.Antivirus.SignatureUpdateTime Security.Antivirus.PlatformUpdateTime Security.Antivirus.SignaturePublishTime
Security.Antivirus.SignatureDataRefreshTime Security.Antivirus.ModeDataRefreshTime Security.Antivirus.QuickScanResult Security.Antivirus.QuickScanError Security.Antivirus.QuickScanTime
Security.Antivirus.FullScanResult Security.Antivirus.FullScanError Security.Antivirus.FullScanTime Security.Antivirus.CloudProtectionState Security.Antivirus.OsKind Security.Antivirus.OsPlatform
Security.Antivirus.OsVersion Security.Antivirus.LastSeenTime Security.Antivirus.DataRefreshTimestamp Security.Antivirus.Unmapped
Security.Posture.Timestamp Security.Posture.LastSeenTime Security.Posture.AvScanResults Security.Posture.AvIsSignatureUpToDate Security.Posture.AvIsEngineUpToDate Security.Posture.AvIsPlatformUpToDate
Security.Posture.AvMode Security.Posture.AvEngineVersion Security.Posture.AvSignatureVersion Security.Posture.AvPlatformVersion Security.Posture.CloudProtectionState Security.Posture.AvSignatureRing
Security.Posture.AvPlatformRing Security.Posture.AvEngineRing Security.Posture.WdavorHeartbeatEventType Security.Posture.Log4j_CVE_2021_44228 Security.Posture.LocalCveScannerExecuted
Security.Posture.Log4jLocalScanVulnerable Security.Posture.Log4JEnvironmentVariableMitigation Security.Posture.Spring4Shell_CVE_2022_22965 Security.Posture.Bootiful_Mind_status
Security.Posture.EBPFStatus Security.Posture.IsAvEngineLoaded Security.Posture.AvModeDataRefreshTime Security.Posture.AvEngineUpdateTime Security.Posture.AvSignatureUpdateTime
Security.Posture.AvPlatformUpdateTime Security.Posture.AvSignaturePublishTime Security.Posture.AvSignatureDataRefreshTime Security.Posture.AvPlatformPublishTime
Security.Posture.AvPlatformExpirationTime Security.Posture.AvEnginePublishTime Security.Posture.Unmapped`)

// parse reads the source's times: RFC 3339, or without a zone, which means UTC. Anything
// finer than a microsecond is cut.
func parse(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02"} { // a fraction is read though no layout has one
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC().Truncate(time.Microsecond)
		}
	}
	panic(fmt.Sprintf("the world wrote %q for a time", s))
}

func parseOr(s *string) time.Time {
	if s == nil {
		return time.Time{}
	}
	return parse(*s)
}

// written is how exports write times.
func written(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format("2006-01-02T15:04:05.999999Z")
}

func maybe(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func maybeTime(s *string) any { return written(parseOr(s)) }

func maybeBool(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

func texts(all []string) any {
	if all == nil {
		return nil
	}
	out := []any{}
	for _, s := range sorted(all) {
		out = append(out, s)
	}
	return out
}

var systemNames = map[string]string{
	"Windows11": "Windows 11", "Windows10": "Windows 10", "WindowsServer2022": "Windows Server 2022", "WindowsServer2019": "Windows Server 2019",
	"WindowsServer2016": "Windows Server 2016", "RedHatEnterpriseLinux": "Red Hat Enterprise Linux", "Ubuntu": "Ubuntu", "Debian": "Debian", "macOS": "macOS", "Other": "Other",
}

// machineAttributes are the target attributes of one record of the list.
func machineAttributes(m *Machine) map[string]any {
	a := map[string]any{
		"Discovery.MDE.MachineId": m.ID, "DisplayName": maybe(m.ComputerDNSName), "AzureAD.DeviceId": maybe(m.AadDeviceID), "AzureAD.IsJoined": maybeBool(m.IsAadJoined),
		"OS.Platform": maybe(m.OSPlatform), "OS.Version": maybe(m.Version), "OS.VersionRaw": maybe(m.OSVersion), "OS.Architecture": maybe(m.OSArchitecture), "Processor.Architecture": maybe(m.OSProcessor),
		"Network.TCPIP.Address": maybe(m.LastIPAddress), "Network.ExternalAddress": maybe(m.LastExternalIPAddress), "Network.TCPIP.BoundAdapter": adapters(m.IPAddresses),
		"Discovery.MDE.FirstSeen": maybeTime(m.FirstSeen), "Discovery.MDE.LastSeen": maybeTime(m.LastSeen), "Discovery.MDE.Tags": texts(m.MachineTags),
		"Discovery.MDE.DeviceGroup.Id": float64(m.RbacGroupID), "Discovery.MDE.DeviceGroup.Name": maybe(m.RbacGroupName), "Discovery.MDE.DeviceValue": m.DeviceValue,
		"Discovery.MDE.ManagedBy": m.ManagedBy, "Discovery.MDE.ManagedByStatus": m.ManagedByStatus, "Security.MDE.SensorVersion": maybe(m.AgentVersion),
		"Discovery.MDE.MergedInto": maybe(m.MergedIntoMachineID), "Discovery.MDE.PotentialDuplicate": m.IsPotentialDuplication, "Discovery.MDE.Excluded": m.IsExcluded,
		"Discovery.MDE.ExclusionReason": maybe(m.ExclusionReason), "Security.MDE.HealthStatus": m.HealthStatus, "Security.MDE.OnboardingStatus": m.OnboardingStatus,
		"Security.MDE.RiskScore": maybe(m.RiskScore), "Security.MDE.ExposureLevel": m.ExposureLevel,
	}
	if m.ComputerDNSName != nil {
		label, _, _ := strings.Cut(*m.ComputerDNSName, ".")
		a["DeviceName"], a["Network.TCPIP.HostName"] = strings.ToUpper(label), strings.ToLower(label)
		if strings.Contains(*m.ComputerDNSName, ".") {
			a["Network.TCPIP.FQDN"] = strings.ToLower(*m.ComputerDNSName)
		}
	}
	if m.OSPlatform != nil {
		a["OS.Name"] = systemNames[*m.OSPlatform]
	}
	if m.OSBuild != nil {
		a["OS.BuildNumber"] = float64(*m.OSBuild)
	}
	if v := m.VMMetadata; v != nil {
		a["Cloud.VmId"], a["Cloud.Provider"], a["Cloud.ResourceId"], a["Cloud.SubscriptionId"] = maybe(v.VMID), v.CloudProvider, maybe(v.ResourceID), maybe(v.SubscriptionID)
	}
	return a
}

// adapters drops loopback and what says nothing; addresses in colon form.
func adapters(all []IPAddress) any {
	if all == nil {
		return nil
	}
	var objects []string
	for _, a := range all {
		ip := value(a.IPAddress)
		if value(a.Type) == "SoftwareLoopback" || ip == "127.0.0.1" || ip == "::1" {
			continue
		}
		object := map[string]string{}
		set := func(key, s string) {
			if s != "" {
				object[key] = s
			}
		}
		set("IPAddress", ip)
		set("Description", value(a.Type))
		set("Status", value(a.OperationalStatus))
		if mac := strings.ToUpper(value(a.MacAddress)); len(mac) == 12 && mac != "000000000000" {
			set("PhysicalAddress", mac[0:2]+":"+mac[2:4]+":"+mac[4:6]+":"+mac[6:8]+":"+mac[8:10]+":"+mac[10:12])
		}
		if len(object) > 0 {
			raw, _ := json.Marshal(object) // keys sorted
			objects = append(objects, string(raw))
		}
	}
	slices.Sort(objects)
	out := []any{}
	for _, raw := range objects {
		var object map[string]any
		_ = json.Unmarshal([]byte(raw), &object)
		out = append(out, object)
	}
	return out
}

// antivirusAttributes takes every property of deviceavinfo but those that name the machine.
func antivirusAttributes(v *DeviceAVInfo) map[string]any {
	a := map[string]any{}
	for f, field := range reflect.ValueOf(*v).Fields() {
		name := f.Tag.Get("json")
		switch name {
		case "id", "machineId", "computerDnsName", "rbacGroupName", "rbacGroupId":
			continue
		}
		name = strings.TrimPrefix(name, "av")
		target := "Security.Antivirus." + strings.ToUpper(name[:1]) + name[1:]
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		}
		if a[target] = field.String(); strings.HasSuffix(name, "Time") || strings.HasSuffix(name, "Timestamp") {
			a[target] = written(parse(field.String()))
		}
	}
	return a
}
