-- The grid has squares of 0.02 instead of 0.05 degrees, so that what is near is found among little else.
UPDATE meetups SET cell = FLOOR((latitude + 90) * 50) * 18000 + LEAST(FLOOR((longitude + 180) * 50), 17999);
