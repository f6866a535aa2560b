package emulator

import (
	"iter"
	"net/http"
	"reflect"
	"strings"
)

// The entity lists with what their queries may name (mde-api.md §7, §11, §12).
var (
	machineSet = &entitySet{
		queryable: queryable{
			typeName: "Machine", plan: planOf[Machine](false, apiName),
			properties: map[string]propertyType{
				"computerDnsName": typeText, "id": typeText, "version": typeText, "deviceValue": typeEnum, "aadDeviceId": typeText,
				"machineTags": typeTexts, "lastSeen": typeDate, "exposureLevel": typeEnum, "onboardingStatus": typeEnum,
				"lastIpAddress": typeText, "healthStatus": typeEnum, "osPlatform": typeText, "riskScore": typeEnum, "rbacGroupId": typeNumber,
			},
			unselect: []string{"onboardingStatus"}, // microsoft-365-docs #8489
		},
		set: "Machines", maxTop: 10000, nextLink: true,
	}
	antivirusSet = &entitySet{ // stops at 10,000 rows without a next link: microsoft-365-docs #9713
		queryable: queryable{
			typeName: "DeviceAvInfo", plan: planOf[DeviceAVInfo](false, apiName),
			properties: map[string]propertyType{
				"machineId": typeText, "computerDnsName": typeText, "osKind": typeText, "osPlatform": typeText, "osVersion": typeText, "avMode": typeText,
				"avSignatureVersion": typeText, "avEngineVersion": typeText, "avPlatformVersion": typeText,
				"quickScanResult": typeText, "quickScanError": typeText, "fullScanResult": typeText, "fullScanError": typeText,
				"avIsSignatureUpToDate": typeText, "avIsEngineUpToDate": typeText, "avIsPlatformUpToDate": typeText, "rbacGroupId": typeNumber,
			},
			sortOnly: []string{"id"},
		},
		set: "DeviceAvInfo", maxTop: 10000,
	}
	vulnerabilitySet = &entitySet{
		queryable: queryable{
			typeName: "PublicVulnerabilityDto", plan: planOf[Vulnerability](false, apiName),
			properties: map[string]propertyType{
				"id": typeText, "name": typeText, "description": typeText, "cvssV3": typeNumber, "publishedOn": typeDate, "severity": typeText, "updatedOn": typeDate,
			},
		},
		set: "Vulnerabilities", maxTop: 8000, nextLink: true,
	}
	machineVulnerabilitySet = &entitySet{
		queryable: queryable{
			typeName: "PublicAssetVulnerabilityDto", plan: planOf[machineVulnerability](false, apiName),
			properties: map[string]propertyType{
				"id": typeText, "cveId": typeText, "machineId": typeText, "fixingKbId": typeText,
				"productName": typeText, "productVersion": typeText, "severity": typeText, "productVendor": typeText,
			},
		},
		set: "Collection(microsoft.windowsDefenderATP.api.PublicAssetVulnerabilityDto)", maxTop: 10000, nextLink: true,
	}
	machineReferenceSet = &entitySet{
		queryable: queryable{
			typeName: "PublicAssetDto", plan: planOf[machineReference](false, apiName),
			properties: map[string]propertyType{"id": typeText, "computerDnsName": typeText, "osPlatform": typeText, "rbacGroupName": typeText},
		},
		set: "MachineReferences", maxTop: 10000, nextLink: true,
	}
)

// machineVulnerability is one row of GET /api/vulnerabilities/machinesVulnerabilities.
type machineVulnerability struct {
	ID             *string `json:"id"`
	CVEID          *string `json:"cveId"`
	MachineID      *string `json:"machineId"`
	FixingKBID     *string `json:"fixingKbId"`
	ProductName    *string `json:"productName"`
	ProductVendor  *string `json:"productVendor"`
	ProductVersion *string `json:"productVersion"`
	Severity       *string `json:"severity"`
}

// machineReference is one row of GET /api/vulnerabilities/{id}/machineReferences.
type machineReference struct {
	ID              string  `json:"id"`
	ComputerDNSName *string `json:"computerDnsName"`
	OSPlatform      *string `json:"osPlatform"`
	RbacGroupName   *string `json:"rbacGroupName"`
	RbacGroupID     int64   `json:"rbacGroupId"`
}

// rowsOf makes rows ready for a plan.
func rowsOf[T any](rows iter.Seq[*T]) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		for row := range rows {
			if !yield(reflect.ValueOf(row).Elem()) {
				return
			}
		}
	}
}

func (s *Server) addEntities(add func(pattern string, e endpoint)) {
	list := func(e *entitySet, rows func(*Day) iter.Seq[reflect.Value]) func(*apiCall) error {
		return func(c *apiCall) error { return s.list(c, e, rows(c.day)) }
	}
	add("GET /machines", endpoint{
		machineRoles, machineQuota,
		list(machineSet, func(d *Day) iter.Seq[reflect.Value] { return rowsOf(d.Machines()) }),
	})
	add("GET /machines/findbytag", endpoint{machineRoles, machineQuota, s.findByTag})
	add("GET /machines/{id}", endpoint{machineRoles, machineQuota, s.machine})
	add("GET /deviceavinfo", endpoint{
		antivirusRoles, assessmentQuota,
		list(antivirusSet, func(d *Day) iter.Seq[reflect.Value] { return rowsOf(d.AntivirusHealth()) }),
	})
	add("GET /vulnerabilities", endpoint{
		vulnerabilityRoles, catalogueQuota,
		list(vulnerabilitySet, func(d *Day) iter.Seq[reflect.Value] { return rowsOf(d.Catalogue()) }),
	})
	add("GET /vulnerabilities/{id}", endpoint{vulnerabilityRoles, catalogueQuota, s.vulnerability})
	add("GET /vulnerabilities/{id}/machinereferences", endpoint{vulnerabilityRoles, catalogueQuota, s.machineReferences})
	add("GET /vulnerabilities/machinesvulnerabilities", endpoint{
		vulnerabilityRoles, catalogueQuota,
		list(machineVulnerabilitySet, func(d *Day) iter.Seq[reflect.Value] { return rowsOf(d.machineVulnerabilities()) }),
	})
}

// machine answers one machine by id or, as the documentation has it, by computer name.
func (s *Server) machine(c *apiCall) error {
	id := c.r.PathValue("id")
	m, found := c.day.Machine(id)
	if !found {
		for other := range c.day.Machines() {
			if other.ComputerDNSName != nil && strings.EqualFold(*other.ComputerDNSName, id) {
				m, found = other, true
				break
			}
		}
	}
	if !found {
		return apiError{http.StatusNotFound, "ResourceNotFound", "Machine " + id + " was not found"}
	}
	s.entity(c, machineSet, reflect.ValueOf(m).Elem())
	return nil
}

// entity answers a single entity: its properties beside the context.
func (s *Server) entity(c *apiCall, e *entitySet, row reflect.Value) {
	c.begin()
	out := newRowWriter(c.w)
	out.text(`{"@odata.context":`).quote(c.context(e.set + "/$entity")).text(",")
	object := e.plan.append(nil, row)
	out.text(string(object[1:]))
	out.flush()
}

func (s *Server) findByTag(c *apiCall) error {
	tag := c.options["tag"]
	if tag == "" {
		return badRequest("MissingRequiredParameter", "The query parameter 'tag' is required.")
	}
	startsWith, err := c.flag("useStartsWithFilter")
	if err != nil {
		return err
	}
	return s.list(c, machineSet, rowsOf(func(yield func(*Machine) bool) {
		for m := range c.day.Machines() {
			for _, have := range m.MachineTags {
				if have == tag || startsWith && strings.HasPrefix(have, tag) {
					if !yield(m) {
						return
					}
					break
				}
			}
		}
	}))
}

func (s *Server) vulnerability(c *apiCall) error {
	v, err := s.catalogueEntry(c)
	if err == nil {
		s.entity(c, vulnerabilitySet, reflect.ValueOf(v).Elem())
	}
	return err
}

// catalogueEntry finds the CVE that the path names.
func (s *Server) catalogueEntry(c *apiCall) (*Vulnerability, error) {
	id := c.r.PathValue("id")
	for v := range c.day.Catalogue() {
		if strings.EqualFold(v.ID, id) {
			return v, nil
		}
	}
	return nil, apiError{http.StatusNotFound, "ResourceNotFound", "Vulnerability " + strings.ToUpper(id) + " was not found"}
}

func (s *Server) machineReferences(c *apiCall) error {
	if _, err := s.catalogueEntry(c); err != nil {
		return err
	}
	return s.list(c, machineReferenceSet, rowsOf(c.day.machinesWith(c.r.PathValue("id"))))
}

// machinesWith yields each machine that has the CVE, once.
func (d *Day) machinesWith(cve string) iter.Seq[*machineReference] {
	return func(yield func(*machineReference) bool) {
		last := ""
		for row := range d.allVulnerabilities() {
			if row.CVEID == nil || row.DeviceID == nil || !strings.EqualFold(*row.CVEID, cve) || *row.DeviceID == last {
				continue
			}
			last = strings.Clone(*row.DeviceID)
			m, known := d.Machine(last)
			if known && !yield(&machineReference{m.ID, m.ComputerDNSName, m.OSPlatform, m.RbacGroupName, int64(m.RbacGroupID)}) {
				return
			}
		}
	}
}

func (d *Day) allVulnerabilities() iter.Seq[*AssetVulnerability] {
	return func(yield func(*AssetVulnerability) bool) {
		for _, group := range d.Groups() {
			for row := range d.Vulnerabilities(group.ID) {
				if !yield(row) {
					return
				}
			}
		}
	}
}

// machineVulnerabilities yields the thin rows: one per machine, product and CVE with its fixing KB.
func (d *Day) machineVulnerabilities() iter.Seq[*machineVulnerability] {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return func(yield func(*machineVulnerability) bool) {
		for v := range d.allVulnerabilities() {
			if v.CVEID == nil {
				continue
			}
			kb := v.RecommendedSecurityUpdateID
			if kb != nil && strings.Trim(*kb, "0123456789") != "" {
				kb = nil // an advisory, not a KB number
			}
			id := strings.Join([]string{text(v.DeviceID), *v.CVEID, text(v.SoftwareVendor), text(v.SoftwareName), text(v.SoftwareVersion), text(kb)}, "-_-")
			if !yield(&machineVulnerability{&id, v.CVEID, v.DeviceID, kb, v.SoftwareName, v.SoftwareVendor, v.SoftwareVersion, v.VulnerabilitySeverityLevel}) {
				return
			}
		}
	}
}
