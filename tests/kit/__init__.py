"""The test doubles: what the tests of several rooms stand on, one concept a file."""
