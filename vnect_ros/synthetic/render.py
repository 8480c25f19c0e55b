"""Draws people and scenery with moderngl on EGL: colour, identity and depth.

K takes camera points to the pixels of the picture that is drawn, so a crop is
drawn alone, as a window of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vnect_ros.errors import BackendError
from vnect_ros.synthetic import shaders
from vnect_ros.synthetic.appearance import coordinates
from vnect_ros.synthetic.bodies import BodyModel
from vnect_ros.synthetic.scene import Picture, Scene, View
from vnect_ros.synthetic.solids import ball, cube

_NEAR_M, _FAR_M = 0.15, 80.0
_SHADOW = 512
_LAYERS = {"body": 0, "hair": 1, "skirt": 2}


def _program_of(layer: str) -> str:
    return "person" if layer == "body" else "extra"


def _clip_from_camera(view: View) -> np.ndarray:
    """[4, 4] OpenGL projection whose rows run down the picture (no flip on reading)."""
    camera, n, f = view.camera, _NEAR_M, _FAR_M
    clip = np.zeros((4, 4))
    clip[0, :3] = 2.0 * camera.matrix[0] / camera.width
    clip[1, :3] = 2.0 * camera.matrix[1] / camera.height
    clip[0, 2] += 1.0 / camera.width - 1.0
    clip[1, 2] += 1.0 / camera.height - 1.0
    clip[2, 2], clip[2, 3] = (f + n) / (f - n), -2.0 * f * n / (f - n)
    clip[3, 2] = 1.0
    return clip


class Renderer:
    """A drawing context for pictures of one size, without anti-aliasing: draw finer and average.

    Args:
        model: the body model whose meshes are drawn.
        width, height: of the pictures [px].

    Raises:
        BackendError: moderngl or EGL is missing.
    """

    def __init__(self, model: BodyModel, width: int, height: int) -> None:
        try:
            import moderngl

            context: Any = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        except Exception as error:
            raise BackendError(
                f"rendering needs moderngl and EGL (apt: libegl1 libgl1-mesa-dri): {error}"
            ) from error
        # pictures are drawn top row first, which turns every triangle round
        context.front_face = "cw"
        self._gl, self._moderngl = context, moderngl
        self._model, self._width, self._height = model, width, height
        size = (width, height)
        self._colour = context.texture(size, 4)
        self._identity = context.texture(size, 2, dtype="f4")
        self._frame = context.framebuffer(
            [self._colour, self._identity], context.depth_renderbuffer(size)
        )
        self._shadow_map = context.depth_texture((_SHADOW, _SHADOW))
        self._shadow_map.compare_func = ""
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow = context.framebuffer(depth_attachment=self._shadow_map)
        cells = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 4), dtype=np.uint8)
        self._lattice = context.texture3d((32, 32, 32), 4, cells.tobytes())
        self._lattice.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._programs = {
            name: context.program(vertex_shader=vertex, fragment_shader=fragment)
            for name, vertex, fragment in (
                *(
                    (name + suffix, shaders.PERSON_VERTEX, shaders.layered(source, name == "extra"))
                    for name in ("person", "extra")
                    for suffix, source in (
                        ("", shaders.PERSON_FRAGMENT),
                        ("_depth", shaders.DEPTH_FRAGMENT),
                    )
                ),
                ("scene", shaders.SCENE_VERTEX, shaders.SCENE_FRAGMENT),
                ("scene_depth", shaders.SCENE_VERTEX, shaders.DEPTH_FRAGMENT),
                ("backdrop", shaders.BACKDROP_VERTEX, shaders.BACKDROP_FRAGMENT),
            )
        }
        self._people = {name: self._person_arrays(name) for name in model.meshes}
        self._solids = {
            ball: self._arrays("scene", vertices, ["in_position", "in_normal"])
            for ball, vertices in ((False, cube()), (True, ball()))
        }
        quad = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)
        self._quad = context.vertex_array(
            self._programs["backdrop"], [(context.buffer(quad.tobytes()), "2f", "in_position")]
        )

    def _arrays(self, kind: str, vertices: np.ndarray, names: list[str]) -> dict[str, Any]:
        buffer = self._gl.buffer(vertices.tobytes())
        arrays = {}
        for suffix in ("", "_depth"):
            program = self._programs[kind + suffix]
            layout = [n if n in program else f"{3}x4" for n in names]
            formats = " ".join("3f" if n in program else "3x4" for n in names)
            used = [n for n in layout if n in program]
            arrays[suffix] = self._gl.vertex_array(program, [(buffer, formats, *used)])
        return arrays

    def _person_arrays(self, name: str) -> tuple[Any, dict[str, Any]]:
        mesh, at = self._model.meshes[name], coordinates(self._model)
        moving = self._gl.buffer(reserve=len(mesh.vertices) * 24, dynamic=True)
        fixed = np.concatenate(
            [at.canon[mesh.vertices], at.coord[mesh.vertices],
             self._model.part_of_vertex[mesh.vertices, None]], axis=1,
        ).astype(np.float32)  # fmt: skip
        still = self._gl.buffer(np.ascontiguousarray(fixed).tobytes())
        index = self._gl.buffer(mesh.local.astype(np.int32).tobytes())
        arrays = {}
        for suffix in ("", "_depth"):
            program = self._programs[_program_of(name) + suffix]
            content = []
            for buffer, fields in (
                (moving, (("in_position", 3), ("in_normal", 3))),
                (still, (("in_canon", 3), ("in_coord", 4), ("in_part", 1))),
            ):
                formats = " ".join(f"{n}f" if f in program else f"{n}x4" for f, n in fields)
                used = [f for f, _ in fields if f in program]
                if used:
                    content.append((buffer, formats, *used))
            arrays[suffix] = self._gl.vertex_array(program, content, index)
        return moving, arrays

    @staticmethod
    def _set(program: Any, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name not in program:
                continue
            if isinstance(value, np.ndarray):
                kind = np.int32 if value.dtype.kind == "i" else np.float32
                # OpenGL stores matrices by columns
                data = value.T if value.ndim == 2 and value.shape == (4, 4) else value
                program[name].write(np.ascontiguousarray(data, kind).tobytes())
            else:
                program[name].value = value

    def _draw(self, scene: Scene, suffix: str, shared: dict[str, Any]) -> None:
        """Draw solids and people with the programs of one pass."""
        # people and small things first: what they hide need not be shaded
        for person in scene.people:
            look = person.look
            values = {
                "colours": look.colours, "patterns": look.patterns.astype(np.int32),
                "scales": look.scales, "shirt": look.shirt, "trousers": look.trousers,
                "hair": look.hair, "skirt_length": look.skirt_length, "logo": look.logo,
                "logo_colour": look.logo_colour, "folds": look.folds,
                "known": float(person.known),
            }  # fmt: skip
            for name, points, normals in person.layers:
                moving, arrays = self._people[name]
                if suffix == "_depth" and name != "body":
                    continue
                moving.write(np.concatenate([points, normals], axis=1).tobytes())
                program = self._programs[_program_of(name) + suffix]
                self._set(program, {**shared, **values, "layer": _LAYERS[name]})
                if name == "body":  # closed: its back faces are never seen
                    self._gl.enable(self._moderngl.CULL_FACE)
                arrays[suffix].render(self._moderngl.TRIANGLES)
                self._gl.disable(self._moderngl.CULL_FACE)
        program = self._programs["scene" + suffix]
        self._set(program, shared)
        for solid in reversed(scene.solids):
            if suffix == "_depth" and not solid.casts:
                continue
            self._set(program, {
                "model": solid.transform_world_from_model, "colour_a": solid.colour_a,
                "colour_b": solid.colour_b, "pattern": solid.pattern, "scale": solid.scale,
                "offset": solid.offset, "gloss": solid.gloss,
            })  # fmt: skip
            self._solids[solid.ball][suffix].render()

    def _light_matrix(self, scene: Scene) -> np.ndarray:
        """[4, 4] world to the shadow map: a box around the people."""
        if not scene.people:
            return np.diag([1.0, 1.0, 1.0, 1e-9])  # all lies outside it
        points = np.concatenate([p.layers[0][1][::50] for p in scene.people if p.known])
        centre = (points.min(axis=0) + points.max(axis=0)) / 2.0
        radius = 0.75 * np.linalg.norm(points.max(axis=0) - points.min(axis=0)) + 0.3
        z = scene.lighting.sun_direction
        x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
        x /= np.linalg.norm(x)
        axes = np.stack([x, np.cross(z, x), -z])
        matrix = np.eye(4)
        matrix[:3, :3] = axes / [[radius], [radius], [3.0 * radius]]
        matrix[:3, 3] = -matrix[:3, :3] @ centre
        return matrix

    def draw(
        self, scene: Scene, view: View, part: tuple[int, int, int, int] | None = None
    ) -> Picture:
        """The scene as the view shows it.

        Args:
            part: (left, top, width, height) [px] of the picture to draw; the rest is
                undefined.
        """
        gl = self._gl
        gl.enable(self._moderngl.DEPTH_TEST)
        light = self._light_matrix(scene)
        self._shadow.use()
        self._shadow.clear(depth=1.0)
        self._draw(scene, "_depth", {"camera": light})
        self._frame.scissor = part
        self._frame.use()
        self._frame.clear(depth=1.0)
        if scene.backdrop is not None:
            picture = np.ascontiguousarray(scene.backdrop)
            texture = gl.texture(picture.shape[1::-1], 3, picture.tobytes(), alignment=1)
            texture.use(1)
            self._programs["backdrop"]["picture"].value = 1
            gl.disable(self._moderngl.DEPTH_TEST)
            self._quad.render(self._moderngl.TRIANGLE_STRIP)
            gl.enable(self._moderngl.DEPTH_TEST)
            texture.release()
        self._shadow_map.use(0)
        self._lattice.use(2)
        t, lighting = view.transform_camera_from_world, scene.lighting
        shared = {
            "camera": _clip_from_camera(view) @ t, "eye": view.eye_m,
            "shadow_matrix": light, "shadow_map": 0, "lattice": 2,
            "sun_direction": lighting.sun_direction,
            "sun_colour": lighting.sun_colour, "sky_colour": lighting.sky_colour,
            "ground_colour": lighting.ground_colour, "lamp_position": lighting.lamp_position_m,
            "lamp_colour": lighting.lamp_colour, "shadow_strength": lighting.shadow_strength,
            "exposure": lighting.exposure, "depth_row": t[2],
        }  # fmt: skip
        self._draw(scene, "", shared)
        shape = self._height, self._width
        colour = np.frombuffer(self._frame.read(components=3, alignment=1), np.uint8)
        data = self._frame.read(components=2, attachment=1, dtype="f4", alignment=1)
        known = np.frombuffer(data, np.float32).reshape(*shape, 2)
        return Picture(
            colour.reshape(*shape, 3), known[..., 0].round().astype(np.uint8), known[..., 1]
        )

    def release(self) -> None:
        """Free the drawing context."""
        self._gl.release()
