DROP TABLE subtasks;
DROP TABLE snapshot_history;
DROP TABLE parts;
DROP TABLE messages;
DROP TABLE sessions;
