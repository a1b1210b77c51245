// Holds the precompiled headers of the tests: see test_headers.h.
