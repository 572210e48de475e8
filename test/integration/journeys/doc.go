// Package journeys has the property tests of random journeys through the whole of orderd: real pods in processes of their own that are
// killed at any moment, a model that predicts every answer, and an auditor that reads the database when all is quiet.
package journeys
