-- The six extensions of the old system's seed data. An id or subject that exists is left as it is.
INSERT INTO extensions (id, type, subject, timeout_ms, retry, config) VALUES
    ('mock_provider', 'provider', 'beamline.provider.mock.v1', 1000, 0,
     '{"mode": "echo", "latency_ms": 50}'),
    ('openai_gpt4', 'provider', 'beamline.provider.openai_gpt4.v1', 30000, 2,
     '{"model": "gpt-4", "max_tokens": 2048}'),
    ('anthropic_claude', 'provider', 'beamline.provider.anthropic_claude.v1', 30000, 2,
     '{"model": "claude-3-opus-20240229", "max_tokens": 4096}'),
    ('normalize_text', 'pre', 'beamline.ext.pre.normalize_text.v1', 100, 0,
     '{"lowercase": true, "trim_whitespace": true}'),
    ('pii_guard', 'validator', 'beamline.ext.validate.pii_guard.v1', 200, 1,
     '{"patterns": ["credit_card", "ssn", "email"], "block_on_match": true}'),
    ('mask_sensitive_data', 'post', 'beamline.ext.post.mask_pii.v1', 100, 0,
     '{"mask_patterns": ["email", "phone"]}')
ON CONFLICT DO NOTHING
