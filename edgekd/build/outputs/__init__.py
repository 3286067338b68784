"""What teachers answered, kept: in which form (``forms``), in which files (``shards``), and whether (``policy``)."""
