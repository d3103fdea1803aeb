"""An evaluator that dies, in native code, of single Template Instances: put in on purpose."""
