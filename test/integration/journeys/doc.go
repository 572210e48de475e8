// Package journeys has the property tests of random journeys through the whole of orderd: real pods
// in processes of their own that are killed at any moment, while messaging, database connections,
// the carrier and the push gateway fail and come back; a model that predicts every answer; and an
// auditor that reads the database and the streams when all is quiet.
//
// A seed chooses what a journey does. ORDERD_JOURNEY_SEEDS=FIRST:COUNT runs other seeds than every
// test run does, and ORDERD_JOURNEY_LOGS names a file for what the pods said if the test fails.
// When a process dies within a call is not the seed's to say: a failure may need several runs to
// come again, and the journey's trace, which is printed, tells what happened.
package journeys
