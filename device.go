package muster

// JoinReason says why two machines are one device.
type JoinReason string

const (
	JoinedByMerge      JoinReason = "merged" // mergedIntoMachineId
	JoinedByOperator   JoinReason = "operator"
	JoinedByEntraID    JoinReason = "entra_device_id"
	JoinedByVMID       JoinReason = "cloud_vm_id"
	JoinedByMACAndHost JoinReason = "mac_and_host_name"
	JoinedByFQDN       JoinReason = "fqdn"
)
