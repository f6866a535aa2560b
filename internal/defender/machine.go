package defender

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// Machine is one entity of GET /api/machines (api/machine.md and $metadata).
type Machine struct {
	ID                     Text        `mde:"id,machine"` // 40 hex digits, lower case
	MergedIntoMachineID    Text        `mde:"mergedIntoMachineId"`
	IsPotentialDuplication Text        `mde:"isPotentialDuplication,boolean"`
	IsExcluded             Text        `mde:"isExcluded,boolean"`
	ExclusionReason        Text        `mde:"exclusionReason"`
	ComputerDNSName        Text        `mde:"computerDnsName"`
	FirstSeen              time.Time   `mde:"firstSeen"`
	LastSeen               time.Time   `mde:"lastSeen"` // the last full report, about every 24 hours
	OSPlatform             Text        `mde:"osPlatform"`
	OSVersion              Text        `mde:"osVersion"`
	OSProcessor            Text        `mde:"osProcessor"`
	Version                Text        `mde:"version"`
	LastIPAddress          Text        `mde:"lastIpAddress"`
	LastExternalIPAddress  Text        `mde:"lastExternalIpAddress"`
	AgentVersion           Text        `mde:"agentVersion"`
	OSBuild                Text        `mde:"osBuild,number"`
	HealthStatus           Text        `mde:"healthStatus"`
	DeviceValue            Text        `mde:"deviceValue"`
	RbacGroupID            Text        `mde:"rbacGroupId,number"` // 0 = none
	RbacGroupName          Text        `mde:"rbacGroupName"`
	RiskScore              Text        `mde:"riskScore"`
	ExposureLevel          Text        `mde:"exposureLevel"`
	IsAadJoined            Text        `mde:"isAadJoined,boolean"`
	AadDeviceID            Text        `mde:"aadDeviceId"`
	MachineTags            []string    `mde:"machineTags"`
	OnboardingStatus       Text        `mde:"onboardingStatus"`
	OSArchitecture         Text        `mde:"osArchitecture"`
	ManagedBy              Text        `mde:"managedBy"`
	ManagedByStatus        Text        `mde:"managedByStatus"`
	IPAddresses            []IPAddress `mde:"ipAddresses"`
	VMID                   Text        `mde:"vmMetadata.vmId"`
	VMCloudProvider        Text        `mde:"vmMetadata.cloudProvider"`
	VMResourceID           Text        `mde:"vmMetadata.resourceId"`
	VMSubscriptionID       Text        `mde:"vmMetadata.subscriptionId"`
	DefenderAVStatus       Text        `mde:"defenderAvStatus"` // until 2024
}

// IPAddress is one element of Machine.IPAddresses.
type IPAddress struct {
	IPAddress         Text `mde:"ipAddress"`  // may be ""
	MacAddress        Text `mde:"macAddress"` // 12 hex digits without separators
	Type              Text `mde:"type"`
	OperationalStatus Text `mde:"operationalStatus"`
}

var machineShape = newShape[Machine]()

const machinesPath = "/api/machines"

// Machines reads the whole list of machines, onboarded or not: by next links
// where the service gives them, else by $skip in the order of the ids until an
// empty page. Pages of a live list can shift, so a machine may come twice. A 404
// with the service's error code is an empty list (api/common-errors.md).
//
// As with every iterator here, an error is yielded once and ends it: the read is
// not complete then.
func (c *Client) Machines(ctx context.Context) iter.Seq2[Row[Machine], error] {
	return read(ctx, c, GroupMachine, machineShape, func(l *lister[Machine]) error {
		first, err := l.page(c.link(machinesPath, ""))
		switch {
		case hasKind(err, NotFound):
			return nil
		case err != nil:
			return err
		case first.next != "":
			return l.follow(first)
		case first.rows < entityPage:
			return nil
		}
		return l.skip(machinesPath, "&$orderby=id", entityPage)
	})
}

// Machine asks whether a machine exists: nil, or an error that is ErrNotFound
// where the service answers 404. The service gives 404 for existing machines at
// times (microsoft-365-docs #13047): ask twice before believing it.
func (c *Client) Machine(ctx context.Context, id string) error {
	u := c.link(machinesPath+"/"+id, "")
	u.RawPath = machinesPath + "/" + url.PathEscape(id)
	s, err := c.get(ctx, GroupMachine, u)
	if err != nil {
		return err
	}
	return s.Close()
}
