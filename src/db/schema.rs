// @generated automatically by Diesel CLI.

diesel::table! {
    blocked_principals (principal) {
        principal -> Text,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    capability_tokens (id) {
        #[max_length = 64]
        id -> Varchar,
        hash -> Bytea,
        #[max_length = 64]
        session_id -> Varchar,
        #[max_length = 20]
        role -> Varchar,
        tables -> Nullable<Array<Nullable<Text>>>,
        minted_by -> Nullable<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    messages (id) {
        #[max_length = 64]
        id -> Varchar,
        #[max_length = 64]
        session_id -> Varchar,
        #[max_length = 20]
        role -> Varchar,
        time_created -> Int8,
        time_completed -> Nullable<Int8>,
        #[max_length = 20]
        status -> Nullable<Varchar>,
        thinking_text -> Nullable<Text>,
        error_message -> Nullable<Text>,
        agent -> Nullable<Text>,
        model_provider_id -> Nullable<Text>,
        model_model_id -> Nullable<Text>,
        system_prompt -> Nullable<Text>,
        tools -> Nullable<Jsonb>,
        #[max_length = 64]
        parent_id -> Nullable<Varchar>,
        mode -> Nullable<Text>,
        path_cwd -> Nullable<Text>,
        path_root -> Nullable<Text>,
        cost -> Nullable<Numeric>,
        tokens_input -> Nullable<Int4>,
        tokens_output -> Nullable<Int4>,
        tokens_reasoning -> Nullable<Int4>,
        tokens_cache_read -> Nullable<Int4>,
        tokens_cache_write -> Nullable<Int4>,
        #[max_length = 64]
        finish -> Nullable<Varchar>,
        is_summary -> Nullable<Bool>,
        error -> Nullable<Jsonb>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    parts (id) {
        #[max_length = 64]
        id -> Varchar,
        #[max_length = 64]
        session_id -> Varchar,
        #[max_length = 64]
        message_id -> Varchar,
        #[sql_name = "type"]
        #[max_length = 20]
        type_ -> Varchar,
        text -> Nullable<Text>,
        #[max_length = 255]
        tool_name -> Nullable<Varchar>,
        tool_state -> Nullable<Jsonb>,
        #[max_length = 255]
        mime -> Nullable<Varchar>,
        url -> Nullable<Text>,
        #[max_length = 512]
        filename -> Nullable<Varchar>,
        time_start -> Nullable<Int8>,
        time_end -> Nullable<Int8>,
        sort_order -> Int4,
    }
}

diesel::table! {
    sessions (id) {
        #[max_length = 64]
        id -> Varchar,
        #[max_length = 255]
        project_id -> Varchar,
        directory -> Text,
        #[max_length = 512]
        title -> Varchar,
        #[max_length = 32]
        version -> Varchar,
        time_created -> Int8,
        time_updated -> Int8,
        time_archived -> Nullable<Int8>,
        #[max_length = 64]
        parent_id -> Nullable<Varchar>,
        #[max_length = 64]
        fork_point -> Nullable<Varchar>,
        summary -> Nullable<Jsonb>,
        revert -> Nullable<Jsonb>,
        compaction -> Nullable<Jsonb>,
        token_count -> Int4,
        bypass_mode -> Bool,
        #[max_length = 255]
        model -> Nullable<Varchar>,
        #[max_length = 20]
        reasoning_effort -> Nullable<Varchar>,
        ghost_commit -> Nullable<Jsonb>,
        plugins -> Jsonb,
    }
}

diesel::table! {
    snapshot_history (id) {
        id -> Int4,
        #[max_length = 64]
        session_id -> Varchar,
        #[max_length = 255]
        change_id -> Varchar,
        sort_order -> Int4,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    subtasks (id) {
        id -> Int4,
        #[max_length = 64]
        session_id -> Varchar,
        #[max_length = 64]
        key -> Nullable<Varchar>,
        result -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::joinable!(messages -> sessions (session_id));
diesel::joinable!(parts -> sessions (session_id));
diesel::joinable!(snapshot_history -> sessions (session_id));
diesel::joinable!(subtasks -> sessions (session_id));

diesel::allow_tables_to_appear_in_same_query!(
    blocked_principals,
    capability_tokens,
    messages,
    parts,
    sessions,
    snapshot_history,
    subtasks,
);
