package mapping

// security is the machine list's verdict on a device.
func security() table {
	return table{
		dataset: "machines", dataType: "Security", endpoint: "GET /api/machines", permission: "Machine.Read.All",
		attributes: []Attribute{
			kept("healthStatus", "Security.MDE.HealthStatus", enum("Active", "Inactive", "ImpairedCommunication", "NoSensorData", "NoSensorDataImpairedCommunication", "Unknown"), "", "Inactive after 7 days without a signal"),
			kept("onboardingStatus", "Security.MDE.OnboardingStatus", enum("Onboarded", "CanBeOnboarded", "Unsupported", "InsufficientInfo"), "", ""),
			kept("riskScore", "Security.MDE.RiskScore", enum("None", "Informational", "Low", "Medium", "High"), "", ""),
			kept("exposureLevel", "Security.MDE.ExposureLevel", enum("None", "Low", "Medium", "High"), "", ""),
		},
	}
}
