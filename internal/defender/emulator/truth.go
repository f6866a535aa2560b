package emulator

import "time"

// Gathering is one run of a connector, as far as it decides what is held afterwards.
type Gathering struct {
	At            time.Time // the source's clock at the run's start
	StaleDays     int
	Tags          []string
	AllTags       bool
	OnboardedOnly bool
	SoftwareRole  bool // Software.Read.All was there
	Day           int  // the day served: whole days since the epoch
}

// Truth is what a correct tool holds after some gatherings: one map per export row.
type Truth struct {
	devices, machines, software, findings, configuration, vulnerabilities []map[string]any
}

// Truth works out the state after these gatherings by one connector named "default".
func (w *World) Truth(gatherings []Gathering) *Truth { return &Truth{} }

// Devices are the rows of the devices export, without device_id.
func (t *Truth) Devices() []map[string]any { return t.devices }

// Machines are the rows of the machines export, without device_id.
func (t *Truth) Machines() []map[string]any { return t.machines }

// Software are the rows of the software export.
func (t *Truth) Software() []map[string]any { return t.software }

// Findings are the rows of the findings export.
func (t *Truth) Findings() []map[string]any { return t.findings }

// Configuration are the rows of the configuration export.
func (t *Truth) Configuration() []map[string]any { return t.configuration }

// Vulnerabilities are the rows of the vulnerabilities export.
func (t *Truth) Vulnerabilities() []map[string]any { return t.vulnerabilities }
