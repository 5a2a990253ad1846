"""What MLflow runs to load a classifier (models from code)."""

from mlflow.models import set_model

from medvision.tracking.classes_table import ClassesModel

set_model(ClassesModel())
