-- The grid has squares of 0.02 instead of 0.05 degrees, so that what is near is found among little else.
UPDATE meetups SET cell = CAST((latitude + 90) * 50 AS INTEGER) * 18000 + MIN(CAST((longitude + 180) * 50 AS INTEGER), 17999);
