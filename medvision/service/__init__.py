"""The job that `medvision listen` runs: receive studies, look at each complete one, send the results back."""
