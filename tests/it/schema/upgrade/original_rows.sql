-- A few rows as the original left them.
INSERT INTO extensions (id, type, subject, timeout_ms, retry, version, config, created_by) VALUES
  ('normalize_text', 'pre', 'beamline.ext.pre.normalize_text.v2', 100, 0, 'v2', '{"lowercase": true}', 'ops'),
  ('pii_guard', 'validator', 'beamline.ext.validate.pii_guard.v1', 200, 0, 'v1', '{}', NULL),
  ('mask_pii', 'post', 'beamline.ext.post.mask_pii.v1', 150, 0, 'v1', '{}', NULL);
INSERT INTO extension_versions (id, version, subject, timeout_ms, retry, routing_rules) VALUES
  ('normalize_text', 'v1', 'beamline.ext.pre.normalize_text.v1', 100, 0, '{}'),
  ('pii_guard', 'v2', 'beamline.ext.validate.pii_guard.v2', 300, 1, '{"tenant_id": ["t1", "t2"]}');
INSERT INTO extension_instances (extension_id, instance_id, subject, weight, health_status) VALUES
  ('mask_pii', 'a', 'beamline.ext.post.mask_pii.v1.a', 70, 'healthy'), ('mask_pii', 'b', 'beamline.ext.post.mask_pii.v1.b', 30, 'unknown');
INSERT INTO extension_health (extension_id, success_count, failure_count, avg_latency_ms, circuit_breaker_state) VALUES
  ('normalize_text', 120, 3, 12.34, 'closed'), ('pii_guard', 0, 9, NULL, 'open'), ('mask_pii', 0, 0, NULL, 'closed');
INSERT INTO extension_audit_log (extension_id, action, old_values, new_values, changed_by, changed_at) VALUES
  ('normalize_text', 'create', NULL, '{"version": "v1"}', 'ops', '2025-01-27 10:00+00'),
  ('normalize_text', 'update', '{"version": "v1"}', '{"version": "v2"}', 'ops', '2025-02-01 10:00+00'),
  ('pii_guard', 'disable', '{"enabled": true}', '{"enabled": false}', NULL, '2025-02-02 10:00+00'),
  ('pii_guard', 'enable', '{"enabled": false}', '{"enabled": true}', 'ops', '2025-02-03 10:00+00');
