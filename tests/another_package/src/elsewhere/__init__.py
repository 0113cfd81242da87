"""An order and a task that another package than flexeval brings along."""
