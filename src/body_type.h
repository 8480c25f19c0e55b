#ifndef VNECT_ROS_BODY_TYPE_H
#define VNECT_ROS_BODY_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyTypeObject body_type;

#endif
