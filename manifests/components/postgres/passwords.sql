-- Gives the logins of logins.sql the passwords of the mounted Secret.
\set owner `cat /etc/postgres/passwords/owner`
\set production `cat /etc/postgres/passwords/production`
\set preview `cat /etc/postgres/passwords/preview`
ALTER ROLE understudy_owner PASSWORD :'owner';
ALTER ROLE understudy_production PASSWORD :'production';
ALTER ROLE understudy_preview PASSWORD :'preview';
