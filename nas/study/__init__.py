"""What a study is: its configuration, its storage, its folder."""
