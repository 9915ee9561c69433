-- Agent state: what agents write and browsers follow. Times named time_* are Unix milliseconds.
--
-- REPLICA IDENTITY FULL everywhere: a shape is filtered by any column, so the stream must carry the old row as well.

CREATE TABLE sessions (
    id varchar(64) PRIMARY KEY,
    project_id varchar(255) NOT NULL DEFAULT 'default',
    directory text NOT NULL,
    title varchar(512) NOT NULL,
    version varchar(32) NOT NULL DEFAULT '1.0.0',
    time_created bigint NOT NULL,
    time_updated bigint NOT NULL,
    time_archived bigint,
    parent_id varchar(64) REFERENCES sessions (id) ON DELETE SET NULL,
    fork_point varchar(64),
    summary jsonb,
    revert jsonb,
    compaction jsonb,
    token_count integer NOT NULL DEFAULT 0,
    bypass_mode boolean NOT NULL DEFAULT false,
    model varchar(255),
    reasoning_effort varchar(20) CHECK (reasoning_effort IN ('minimal', 'low', 'medium', 'high')),
    ghost_commit jsonb,
    plugins jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX sessions_project_id ON sessions (project_id);
CREATE INDEX sessions_time_updated ON sessions (time_updated DESC, id);
CREATE INDEX sessions_parent_id ON sessions (parent_id);

CREATE TABLE messages (
    id varchar(64) PRIMARY KEY,
    session_id varchar(64) NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    role varchar(20) NOT NULL CHECK (role IN ('user', 'assistant')),
    time_created bigint NOT NULL,
    time_completed bigint,
    status varchar(20) DEFAULT 'pending' CHECK (status IN ('pending', 'streaming', 'completed', 'failed', 'aborted')),
    thinking_text text,
    error_message text,
    agent text,
    model_provider_id text,
    model_model_id text,
    system_prompt text,
    tools jsonb,
    parent_id varchar(64),
    mode text,
    path_cwd text,
    path_root text,
    cost numeric(20, 10),
    tokens_input integer,
    tokens_output integer,
    tokens_reasoning integer,
    tokens_cache_read integer,
    tokens_cache_write integer,
    finish varchar(64),
    is_summary boolean,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What `parts` refers to, so that a part cannot name another session than its message does.
    CONSTRAINT messages_id_session_id UNIQUE (id, session_id)
);
CREATE INDEX messages_session_id_created_at ON messages (session_id, created_at);
CREATE INDEX messages_session_id_order ON messages (session_id, time_created, id);

CREATE TABLE parts (
    id varchar(64) PRIMARY KEY,
    session_id varchar(64) NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    message_id varchar(64) NOT NULL,
    type varchar(20) NOT NULL CHECK (type IN ('text', 'reasoning', 'tool', 'file')),
    text text,
    tool_name varchar(255),
    tool_state jsonb,
    mime varchar(255),
    url text,
    filename varchar(512),
    time_start bigint,
    time_end bigint,
    sort_order integer NOT NULL DEFAULT 0,
    CONSTRAINT parts_message FOREIGN KEY (message_id, session_id) REFERENCES messages (id, session_id) ON DELETE CASCADE
);
CREATE INDEX parts_session_id ON parts (session_id);
CREATE INDEX parts_message_id_order ON parts (message_id, sort_order, id);

CREATE TABLE snapshot_history (
    id serial PRIMARY KEY,
    session_id varchar(64) NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    change_id varchar(255) NOT NULL,
    sort_order integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Also the index of the foreign key.
    CONSTRAINT snapshot_history_session_id_sort_order UNIQUE (session_id, sort_order)
);

CREATE TABLE subtasks (
    id serial PRIMARY KEY,
    session_id varchar(64) NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- The caller's name for an append, so that a retried one can be recognised.
    key varchar(64),
    result jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT subtasks_session_id_key UNIQUE (session_id, key)
);

ALTER TABLE sessions REPLICA IDENTITY FULL;
ALTER TABLE messages REPLICA IDENTITY FULL;
ALTER TABLE parts REPLICA IDENTITY FULL;
ALTER TABLE snapshot_history REPLICA IDENTITY FULL;
ALTER TABLE subtasks REPLICA IDENTITY FULL;
