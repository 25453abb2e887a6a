"""What people use today, each as its own documentation advises; the reports show this code beside the figures."""
