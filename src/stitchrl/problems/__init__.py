"""Problems whose answers are known exactly: what estimators and learners are held to."""
