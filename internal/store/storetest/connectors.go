package storetest

import (
	"errors"

	"muster"
)

func errorIs(err, want error) bool { return err != nil && errors.Is(err, want) }

var connectorTests = []test{
	{"a missing one is not found", func(c *testCase) {
		_, err := c.Connector(c.Context(), "nobody")
		c.fails(err, muster.ErrNotFound)
	}},
	{"settings come back whole", func(c *testCase) {
		want := muster.Settings{
			TenantID: "contoso.com", ClientID: "66666666-7777-8888-9999-000000000000", Cloud: "gcc-high",
			LoginURL: "https://login.test:1", APIURL: "https://api.test", Scope: "https://api.test/.default",
			Filter:   muster.Filter{StaleDays: 3650, Tags: []string{"Straße", "a'b\"c\\"}, AllTags: true, OnboardedOnly: true},
			Datasets: muster.Datasets,
		}
		saved, err := c.SaveConnector(c.Context(), "  Contoso “EU” ", want, start)
		c.ok(err)
		c.equal("name", saved.Name, "Contoso “EU”")
		again, err := c.Connector(c.Context(), "contoso “eu”")
		c.ok(err)
		c.equal("connector", again, muster.Connector{ID: saved.ID, Name: "Contoso “EU”", Settings: want, Version: 1})
	}},
	{"only a difference raises the version", func(c *testCase) {
		first := c.connector("Contoso")
		same := c.connector(" CONTOSO ")
		c.equal("saved again", same, first)
		changed, err := c.SaveConnector(c.Context(), "contoso", settings("prod", "dev"), after(leaseTime))
		c.ok(err)
		c.equal("id", changed.ID, first.ID)
		c.equal("version", changed.Version, first.Version+1)
		c.equal("tags", changed.Settings.Filter.Tags, []string{"prod", "dev"})
		other := c.connector("Fabrikam")
		if other.ID == first.ID || other.Version != 1 {
			c.Fatalf("another name gave connector %+v", other)
		}
	}},
	{"the tenant is bound once and for ever", func(c *testCase) {
		contoso := c.connector("Contoso")
		c.ok(c.FixTenant(c.Context(), contoso.ID, tenantGUID))
		c.ok(c.FixTenant(c.Context(), contoso.ID, tenantGUID))
		c.fails(c.FixTenant(c.Context(), contoso.ID, "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee"), muster.ErrConflict)
		again, err := c.SaveConnector(c.Context(), "Contoso", settings(), start)
		c.ok(err)
		c.equal("tenant", again.Tenant, tenantGUID)
		c.fails(c.FixTenant(c.Context(), contoso.ID+1000, tenantGUID), muster.ErrNotFound)
	}},
}
