"""Search spaces: choices for each stage, their exact number, and decisions one by one."""
