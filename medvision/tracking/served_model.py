"""What MLflow runs to load a model (models from code)."""

from mlflow.models import set_model

from medvision.tracking.findings_table import FindingsModel

set_model(FindingsModel())
