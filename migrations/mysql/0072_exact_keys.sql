-- Keys are compared byte by byte: every collation of characters that all servers share ignores spaces at the end.
ALTER TABLE users MODIFY email_key VARBINARY(1016), MODIFY nickname_key VARBINARY(256) NOT NULL;
ALTER TABLE room_entries MODIFY nonce VARBINARY(256);
ALTER TABLE routines MODIFY name_key VARBINARY(480) NOT NULL;
ALTER TABLE job_runs MODIFY job VARBINARY(256) NOT NULL;
ALTER TABLE meetup_terms MODIFY term VARBINARY(32) NOT NULL;
ALTER TABLE calendar_feeds MODIFY token VARBINARY(256) NOT NULL;
