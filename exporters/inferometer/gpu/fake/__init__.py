"""A machine without a driver, for demonstrations and tests of all that stands above a driver."""
