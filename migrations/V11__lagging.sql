-- Of which aggregates the view store may lack steps: gateways read those views from here. The
-- answer is of all tenants, and the role of gateways sees one tenant at a time, so that it calls a
-- function. Row-level security binds the owner of the table, and of the function, too.
CREATE POLICY lagging ON clinicwire.view FOR SELECT TO CURRENT_USER USING (dirty);

CREATE FUNCTION clinicwire.lagging(most int) RETURNS TABLE (tenant text, aggregate text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT v.tenant, v.aggregate FROM clinicwire.view v WHERE v.dirty LIMIT most
$$;

REVOKE ALL ON FUNCTION clinicwire.lagging(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clinicwire.lagging(int) TO clinicwire_gateway;
