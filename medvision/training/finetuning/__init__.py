"""Fine-tuning of pretrained networks on pictures: which weights learn, changes, the loop, what it leaves."""
