CREATE TABLE accounts (
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    balance_picos BIGINT NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (account, currency),
    CONSTRAINT fits_balance_picos CHECK (balance_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
);

CREATE TABLE admin_keys (
    admin_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    secret_hint TEXT NOT NULL,
    role TEXT NOT NULL,
    team TEXT,
    customer TEXT,
    created_at_us BIGINT NOT NULL,
    expires_at_us BIGINT,
    revoked_at_us BIGINT,
    CONSTRAINT pk_admin_keys PRIMARY KEY (admin_id),
    UNIQUE (name),
    UNIQUE (secret_hash)
);

CREATE TABLE answers (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    answered_at_us BIGINT NOT NULL,
    CONSTRAINT pk_answers PRIMARY KEY (owner, name)
);

CREATE INDEX ix_answers_answered_at_us ON answers (answered_at_us);

CREATE TABLE archived_entries (
    archive_id INTEGER NOT NULL,
    entry_id INTEGER NOT NULL,
    amount_picos BIGINT NOT NULL,
    CONSTRAINT pk_archived_entries PRIMARY KEY (archive_id, entry_id),
    CONSTRAINT fits_amount_picos CHECK (amount_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
)
 WITHOUT ROWID;

CREATE TABLE archived_sums (
    archive_id INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    currency TEXT NOT NULL,
    calls BIGINT NOT NULL,
    unpriced_calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_picos BIGINT NOT NULL,
    price_picos BIGINT NOT NULL,
    CONSTRAINT pk_archived_sums PRIMARY KEY (archive_id, series_id, currency),
    CONSTRAINT fits_cost_picos CHECK (cost_picos BETWEEN -4611686018427387904 AND 4611686018427387904 AND price_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
)
 WITHOUT ROWID;

CREATE TABLE archives (
    archive_id INTEGER NOT NULL,
    month_us BIGINT NOT NULL,
    file TEXT NOT NULL,
    folder TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    events BIGINT NOT NULL,
    conversations BIGINT NOT NULL,
    removed BIGINT NOT NULL,
    made_at_us BIGINT NOT NULL,
    CONSTRAINT pk_archives PRIMARY KEY (archive_id),
    UNIQUE (sha256)
);

CREATE TABLE budgets (
    budget_id TEXT NOT NULL,
    name TEXT NOT NULL,
    axis TEXT NOT NULL,
    limit_amount BIGINT NOT NULL,
    period TEXT NOT NULL,
    zone TEXT NOT NULL,
    scope TEXT NOT NULL,
    each_dimension TEXT,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    steps TEXT NOT NULL,
    warn_percent INTEGER,
    created_at_us BIGINT NOT NULL,
    removed_at_us BIGINT,
    CONSTRAINT pk_budgets PRIMARY KEY (budget_id),
    CONSTRAINT fits_limit_amount CHECK (limit_amount BETWEEN -4611686018427387904 AND 4611686018427387904)
);

CREATE UNIQUE INDEX ix_budgets_name_live ON budgets (name) WHERE removed_at_us IS NULL;

CREATE TABLE claims (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    call_id TEXT NOT NULL,
    claimed_at_us BIGINT NOT NULL,
    status INTEGER,
    headers BLOB,
    body BLOB,
    stream BOOLEAN NOT NULL,
    CONSTRAINT pk_claims PRIMARY KEY (owner, name)
);

CREATE INDEX ix_claims_claimed_at_us ON claims (claimed_at_us);

CREATE TABLE counters (
    budget_id TEXT NOT NULL,
    each_value TEXT NOT NULL,
    window_start_us BIGINT NOT NULL,
    held BIGINT NOT NULL,
    spent BIGINT NOT NULL,
    CONSTRAINT pk_counters PRIMARY KEY (budget_id, window_start_us, each_value),
    CONSTRAINT fits_held CHECK (held BETWEEN -4611686018427387904 AND 4611686018427387904 AND spent BETWEEN -4611686018427387904 AND 4611686018427387904),
    CONSTRAINT held_not_negative CHECK (held >= 0)
)
 WITHOUT ROWID;

CREATE TABLE day_rollups (
    start_us BIGINT NOT NULL,
    series_id INTEGER NOT NULL,
    currency TEXT NOT NULL,
    calls BIGINT NOT NULL,
    unpriced_calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_picos BIGINT NOT NULL,
    price_picos BIGINT NOT NULL,
    CONSTRAINT pk_day_rollups PRIMARY KEY (start_us, series_id, currency),
    CONSTRAINT fits_cost_picos CHECK (cost_picos BETWEEN -4611686018427387904 AND 4611686018427387904 AND price_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
)
 WITHOUT ROWID;

CREATE TABLE ended_holds (
    hold_id TEXT NOT NULL,
    series_id INTEGER NOT NULL,
    conversation TEXT,
    amount_picos BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    opened_at_us BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL,
    owner TEXT NOT NULL,
    ended TEXT NOT NULL,
    ended_at_us BIGINT NOT NULL,
    CONSTRAINT pk_ended_holds PRIMARY KEY (hold_id)
)
 WITHOUT ROWID;

CREATE INDEX ix_ended_holds_ended_at_us ON ended_holds (ended_at_us);

CREATE TABLE entries (
    entry_id INTEGER NOT NULL,
    posted_at_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    currency TEXT NOT NULL,
    CONSTRAINT pk_entries PRIMARY KEY (entry_id)
);

CREATE TABLE events (
    id INTEGER NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    series_id INTEGER NOT NULL,
    conversation TEXT,
    occurred_at_us BIGINT NOT NULL,
    recorded_at_us BIGINT NOT NULL,
    opened_at_us BIGINT NOT NULL,
    status TEXT NOT NULL,
    completeness TEXT NOT NULL,
    quantities TEXT NOT NULL,
    currency TEXT NOT NULL,
    cost_picos BIGINT NOT NULL,
    price_picos BIGINT NOT NULL,
    lines TEXT NOT NULL,
    model_served TEXT,
    service_tier TEXT,
    response_id TEXT,
    raw BLOB NOT NULL,
    reason TEXT,
    changed TEXT,
    held_picos BIGINT NOT NULL,
    overrun_picos BIGINT NOT NULL,
    late BOOLEAN NOT NULL,
    context TEXT NOT NULL,
    priced_as TEXT,
    parts TEXT NOT NULL,
    corrects TEXT,
    was_unpriced BOOLEAN NOT NULL,
    entry_id INTEGER,
    CONSTRAINT pk_events PRIMARY KEY (id),
    CONSTRAINT fits_cost_picos CHECK (cost_picos BETWEEN -4611686018427387904 AND 4611686018427387904 AND price_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
);

CREATE INDEX ix_events_occurred_at_us ON events (occurred_at_us);

CREATE INDEX ix_events_conversation ON events (conversation) WHERE conversation IS NOT NULL;

CREATE INDEX ix_events_corrects ON events (corrects) WHERE corrects IS NOT NULL;

CREATE INDEX ix_events_source ON events (source, occurred_at_us) WHERE source != 'gateway';

CREATE TABLE holds (
    hold_id TEXT NOT NULL,
    series_id INTEGER NOT NULL,
    conversation TEXT,
    amount_picos BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    opened_at_us BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL,
    owner TEXT NOT NULL,
    CONSTRAINT pk_holds PRIMARY KEY (hold_id),
    CONSTRAINT fits_amount_picos CHECK (amount_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
)
 WITHOUT ROWID;

CREATE TABLE horizons (
    name TEXT NOT NULL,
    before_us BIGINT NOT NULL,
    CONSTRAINT pk_horizons PRIMARY KEY (name)
);

CREATE TABLE identities (
    event_id TEXT NOT NULL,
    source TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    occurred_at_us BIGINT NOT NULL,
    CONSTRAINT pk_identities PRIMARY KEY (event_id, source)
)
 WITHOUT ROWID;

CREATE TABLE keys (
    key_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    old_secret_hash BLOB,
    old_secret_until_us BIGINT,
    secret_hint TEXT NOT NULL,
    team TEXT,
    customer TEXT,
    tags TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    expires_at_us BIGINT,
    revoked_at_us BIGINT,
    CONSTRAINT pk_keys PRIMARY KEY (key_id),
    UNIQUE (name),
    UNIQUE (secret_hash),
    UNIQUE (old_secret_hash)
);

CREATE TABLE leases (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (name)
);

CREATE TABLE postings (
    entry_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    amount_picos BIGINT NOT NULL,
    CONSTRAINT pk_postings PRIMARY KEY (entry_id, account),
    CONSTRAINT fits_amount_picos CHECK (amount_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
)
 WITHOUT ROWID;

CREATE TABLE prices (
    price_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    "match" TEXT NOT NULL,
    rule TEXT,
    unit TEXT NOT NULL,
    amount_picos BIGINT NOT NULL,
    per BIGINT NOT NULL,
    currency TEXT NOT NULL,
    valid_from_us BIGINT NOT NULL,
    valid_to_us BIGINT NOT NULL,
    recorded_at_us BIGINT NOT NULL,
    superseded_at_us BIGINT,
    source TEXT NOT NULL,
    evidence TEXT NOT NULL,
    input_above BIGINT,
    conditions TEXT NOT NULL,
    covers TEXT NOT NULL,
    marginal BOOLEAN NOT NULL,
    minimum BIGINT NOT NULL,
    is_factor BOOLEAN NOT NULL,
    stacks BOOLEAN NOT NULL,
    quota TEXT,
    CONSTRAINT pk_prices PRIMARY KEY (price_id),
    CONSTRAINT fits_amount_picos CHECK (amount_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
);

CREATE INDEX ix_prices_provider ON prices (provider, model);

CREATE TABLE revision (
    id INTEGER NOT NULL,
    value BIGINT NOT NULL,
    CONSTRAINT pk_revision PRIMARY KEY (id)
);

CREATE TABLE rollups (
    start_us BIGINT NOT NULL,
    series_id INTEGER NOT NULL,
    currency TEXT NOT NULL,
    calls BIGINT NOT NULL,
    unpriced_calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_picos BIGINT NOT NULL,
    price_picos BIGINT NOT NULL,
    CONSTRAINT pk_rollups PRIMARY KEY (start_us, series_id, currency),
    CONSTRAINT fits_cost_picos CHECK (cost_picos BETWEEN -4611686018427387904 AND 4611686018427387904 AND price_picos BETWEEN -4611686018427387904 AND 4611686018427387904)
)
 WITHOUT ROWID;

CREATE TABLE secret_checks (
    id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    CONSTRAINT pk_secret_checks PRIMARY KEY (id)
);

CREATE TABLE series (
    series_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    key_id TEXT NOT NULL,
    team TEXT NOT NULL,
    customer TEXT NOT NULL,
    user_name TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    tags TEXT NOT NULL,
    CONSTRAINT pk_series PRIMARY KEY (series_id),
    UNIQUE (digest)
);

CREATE TABLE series_tags (
    series_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_series_tags PRIMARY KEY (series_id, number)
)
 WITHOUT ROWID;
