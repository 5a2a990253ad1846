"""Earlier examinations: which one belongs to a scan, where its nodules lie now, and how they have changed."""
