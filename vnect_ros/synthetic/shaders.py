# ruff: noqa: E501
"""GLSL of the renderer: people, scenery and backdrop with identity and depth; shadows."""

COMMON = """
#version 330
float hash(vec3 p) {
    p = fract(p * 0.3183099 + vec3(0.71, 0.113, 0.419));
    p *= 17.0;
    return fract(p.x * p.y * p.z * (p.x + p.y + p.z));
}
uniform sampler3D lattice;   // four independent random values a cell, repeating
float noise(vec3 x) { return texture(lattice, x / 32.0).r; }
vec4 noises(vec3 x) { return texture(lattice, x / 32.0); }
float fbm(vec3 p) { return 0.68 * noise(p) + 0.32 * noise(p * 2.7 + 7.1); }
float bars(float t, float duty) {
    float w = max(fwidth(t), 1e-4), f = fract(t);
    return smoothstep(0.0, w, f) - smoothstep(duty, duty + w, f);
}
"""

LIGHT = """
uniform vec3 sun_direction;   // towards the light, world
uniform vec3 sun_colour;
uniform vec3 sky_colour;
uniform vec3 ground_colour;
uniform vec3 lamp_position;
uniform vec3 lamp_colour;
uniform vec3 eye;
uniform mat4 shadow_matrix;
uniform float shadow_strength;
uniform float exposure;
uniform sampler2D shadow_map;

float lit(vec3 world, vec3 n) {
    vec4 s = shadow_matrix * vec4(world + 0.02 * n, 1.0);
    vec3 c = s.xyz / s.w * 0.5 + 0.5;
    if (any(lessThan(c, vec3(0.0))) || any(greaterThan(c, vec3(1.0)))) return 1.0;
    float sum = 0.0, step = 1.2 / 512.0;
    for (int i = -1; i <= 1; i += 2)
        for (int j = -1; j <= 1; j += 2)
            sum += c.z - 0.004 < texture(shadow_map, c.xy + vec2(i, j) * step).r ? 0.25 : 0.0;
    return mix(1.0, sum, shadow_strength);
}
vec3 shade(vec3 albedo, vec3 world, vec3 n, float gloss) {
    vec3 view = normalize(eye - world);
    vec3 base = pow(albedo, vec3(2.2));
    float facing = max(dot(n, sun_direction), 0.0);
    float open = facing > 0.0 ? lit(world, n) : 0.0;
    vec3 ambient = mix(ground_colour, sky_colour, 0.5 + 0.5 * n.z);
    vec3 to_lamp = lamp_position - world;
    float far = dot(to_lamp, to_lamp);
    vec3 lamp = lamp_colour * max(dot(n, to_lamp * inversesqrt(far)), 0.0) / (0.3 + far);
    vec3 half_way = normalize(view + sun_direction);
    float shine = gloss * open * pow(max(dot(n, half_way), 0.0), 24.0);
    vec3 light = ambient + sun_colour * facing * open + lamp;
    return pow(clamp(exposure * (base * light + sun_colour * shine), 0.0, 1.0), vec3(1.0 / 2.2));
}
"""

PERSON_VERTEX = """
#version 330
uniform mat4 camera;
in vec3 in_position;
in vec3 in_normal;
in vec3 in_canon;
in vec4 in_coord;
in float in_part;
out vec3 world;
out vec3 normal;
out vec3 canon;
out vec4 coord;
flat out float part;
void main() {
    world = in_position;
    normal = in_normal;
    canon = in_canon;
    coord = in_coord;
    part = in_part;
    gl_Position = camera * vec4(in_position, 1.0);
}
"""

PERSON_FRAGMENT = (
    COMMON
    + LIGHT
    + """
in vec3 world;
in vec3 normal;
in vec3 canon;
in vec4 coord;               // along the arm, down the leg, headness, eye
flat in float part;
LAYER                        // 0 body, 1 hair, 2 skirt
uniform vec3 colours[14];    // pairs: skin, hair, shirt, sleeves, trousers, shoes, skirt
uniform int patterns[7];
uniform float scales[7];
uniform vec4 shirt;          // neckline, hem, sleeve length, depth of the V
uniform vec4 trousers;       // waist, length, shoe top, sock top
uniform vec4 hair;           // hairline front, back, amount of beard, cap brim
uniform float skirt_length;
uniform vec4 logo;           // x, z, size, kind
uniform vec3 logo_colour;
uniform float folds;
uniform float known;
uniform vec4 depth_row;
layout(location = 0) out vec4 colour;
layout(location = 1) out vec2 identity;

vec3 cloth(int g, float along, out float gloss) {
    vec3 a = colours[2 * g], b = colours[2 * g + 1];
    float s = scales[g], k = 0.0;
    vec3 p = canon * s;
    int kind = patterns[g];
    float around = canon.x * s + canon.y * 0.6 * s;
    if (kind == 1) k = bars(along * s, 0.5);
    else if (kind == 2) k = bars(around, 0.45);
    else if (kind == 3) k = 0.5 * bars(along * s, 0.4) + 0.5 * bars(around, 0.4);
    else if (kind == 4) k = smoothstep(0.45, 0.55, fbm(p * 1.4));
    else if (kind == 5) k = 1.0 - smoothstep(0.3, 0.36, length(fract(vec2(along * s, around)) - 0.5));
    else if (kind == 6) k = fbm(p * 4.0);
    else if (kind == 7) k = clamp(along * 1.6 + 0.8, 0.0, 1.0);
    else if (kind == 8) k = smoothstep(0.35, 0.75, fbm(p * vec3(0.8, 0.8, 2.5)));
    gloss = 0.03;
    return mix(a, b, k);
}

void main() {
    vec3 n = normalize(normal);
    if (dot(n, eye - world) < 0.0) n = -n;
    float a = coord.x, h = coord.y, gloss = 0.12;
    float along = a > 0.02 ? a * 0.55 : h * 0.55;
    vec3 albedo = mix(colours[0], colours[1], 0.6 * fbm(canon * 9.0));
    float wrinkle = 0.0;
    vec3 q = (canon - vec3(0.0, -0.055, 0.735)) / 0.11;
    if (layer == 1) {
#ifdef EXTRA
        if (q.y < -0.45 && abs(q.x) < 0.62 && q.z < 0.6) discard;  // the face stays free
#endif
        albedo = mix(colours[2], colours[3], fbm(canon * vec3(90.0, 90.0, 8.0)));
        gloss = 0.2;
    } else if (layer == 2) {
#ifdef EXTRA
        if (h > skirt_length + 0.012 * noise(canon * 20.0) || h < trousers.x - 0.06) discard;
#endif
        albedo = cloth(6, along, gloss);
        wrinkle = 1.5;
    } else if (coord.w > 0.5) {
        float iris = length((canon - vec3(sign(canon.x) * 0.031, -0.14, 0.728)).xz);
        albedo = iris < 0.007 ? vec3(0.12, 0.08, 0.06) : vec3(0.9);
        gloss = 0.5;
    } else if (coord.z > 0.5) {
        float line = mix(hair.x, hair.y, smoothstep(-0.75, 0.35, q.y)) + 0.12 * noise(canon * 60.0);
        float ear = smoothstep(0.68, 0.74, abs(q.x));
        if (q.z > line + 0.4 * ear && q.z > -1.1) {
            albedo = mix(colours[2], colours[3], fbm(canon * vec3(80.0, 80.0, 12.0)));
            gloss = 0.15;
        } else {
            float face = step(q.y, -0.35);
            float mouth = face * (1.0 - smoothstep(0.03, 0.1, abs(q.z + 0.56)))
                        * (1.0 - smoothstep(0.15, 0.25, abs(q.x)));
            albedo = mix(albedo, albedo * vec3(0.78, 0.5, 0.5), 0.8 * mouth);
            float brow = face * (1.0 - smoothstep(0.02, 0.06, abs(q.z - 0.13 + 0.25 * abs(abs(q.x) - 0.28))))
                       * (1.0 - smoothstep(0.1, 0.16, abs(abs(q.x) - 0.28)));
            albedo = mix(albedo, colours[2], 0.75 * brow);
            float beard = step(q.y, 0.1) * smoothstep(-0.28, -0.42, q.z - 0.35 * smoothstep(0.25, 0.6, abs(q.x)));
            albedo = mix(albedo, colours[2], hair.z * beard * (1.0 - mouth) * (0.6 + 0.4 * noise(canon * 150.0)));
        }
    } else {
        bool limb = a > 0.02;
        float front = step(canon.y, -0.03);
        float neck = shirt.x + shirt.w * front * max(0.0, 1.0 - abs(canon.x) / 0.09);
        if (!limb && h > trousers.x && h < trousers.y) {
            albedo = cloth(4, along, gloss);
            wrinkle = 1.0;
        }
        if (!limb && h > trousers.w && h > 0.5 && trousers.y < h) albedo = vec3(0.85) * colours[10];
        if ((limb && a < shirt.z) || (!limb && h > neck && h < shirt.y)) {
            albedo = cloth(limb && a > 0.1 ? 3 : 2, along, gloss);
            wrinkle = 1.0;
            vec2 at = vec2(canon.x - logo.x, canon.z - logo.y) / logo.z;
            if (!limb && logo.w > 0.5 && front > 0.5) {
                float inside = logo.w < 1.5 ? step(length(at), 1.0) : step(max(abs(at.x), 2.0 * abs(at.y)), 1.0);
                float cut = step(0.5, noise(vec3(at * 3.0, logo.w + logo.x * 40.0)));
                albedo = mix(albedo, logo_colour, inside * (logo.w > 2.5 ? cut : 1.0));
            }
        }
        if (!limb && h > trousers.z) {
            albedo = canon.z < -0.803 ? colours[11] : colours[10];
            gloss = 0.1;
        }
    }
    if (wrinkle > 0.0) {
        vec4 ruffle = 0.65 * noises(canon * vec3(26.0, 26.0, 17.0)) + 0.35 * noises(canon * 55.0);
        n = normalize(n - folds * wrinkle * (ruffle.xyz - 0.5));
        albedo *= 1.0 - 0.3 * folds * (ruffle.w - 0.45);
    }
    colour = vec4(shade(albedo, world, n, gloss), 1.0);
    identity = vec2(part * known, dot(depth_row, vec4(world, 1.0)));
}
"""
)

SCENE_VERTEX = """
#version 330
uniform mat4 camera;
uniform mat4 model;
in vec3 in_position;
in vec3 in_normal;
out vec3 world;
out vec3 normal;
out vec3 local;
void main() {
    vec4 p = model * vec4(in_position, 1.0);
    world = p.xyz;
    local = in_position;
    normal = transpose(inverse(mat3(model))) * in_normal;
    gl_Position = camera * p;
}
"""

SCENE_FRAGMENT = (
    COMMON
    + LIGHT
    + """
in vec3 world;
in vec3 normal;
in vec3 local;
uniform vec3 colour_a;
uniform vec3 colour_b;
uniform int pattern;
uniform float scale;
uniform float offset;
uniform float gloss;
uniform vec4 depth_row;
layout(location = 0) out vec4 colour;
layout(location = 1) out vec2 identity;

void main() {
    vec3 n = normalize(normal);
    if (dot(n, eye - world) < 0.0) n = -n;
    vec3 m = abs(n);
    vec2 uv = m.z > 0.6 ? world.xy : (m.x > m.y ? world.yz : world.xz);
    vec2 t = uv * scale;
    float k = 0.0;
    if (pattern == 1) k = max(bars(t.x, 0.05), bars(t.y, 0.05));                        // tiles
    else if (pattern == 2) {                                                            // planks
        float row = floor(t.y * 3.0);
        float tone = hash(vec3(row, floor(t.x * 0.4 + hash(vec3(row))), 3.0));
        k = 0.6 * tone + 0.3 * fbm(vec3(t.x * 1.5, t.y * 14.0, row)) + bars(t.y * 3.0, 0.04);
    } else if (pattern == 3) {                                                          // bricks
        float row = floor(t.y * 6.0);
        float u = t.x * 2.5 + 0.5 * mod(row, 2.0);
        float mortar = max(bars(t.y * 6.0, 0.09), bars(u, 0.05));
        k = mix(0.4 * hash(vec3(floor(u), row, 1.0)), 1.0, mortar);
    } else if (pattern == 4) k = fbm(vec3(t * 6.0, 1.0));                               // carpet
    else if (pattern == 5) k = bars(t.x, 0.5);                                          // stripes
    else if (pattern == 6) k = mod(floor(t.x) + floor(t.y), 2.0);                       // chequers
    else if (pattern == 7) k = 0.5 * fbm(vec3(t * 3.0, 4.0)) + 0.5 * noise(vec3(t * vec2(60.0, 40.0), 0.0)); // grass
    else if (pattern == 8) k = clamp(world.z * 0.4, 0.0, 1.0);                          // fading up
    else if (pattern == 9) k = step(0.5, noise(vec3(floor(t * 4.0), offset)));           // blocks
    else if (pattern == 10) {                                                           // shelves
        float shelf = floor(t.y * 2.5);
        k = hash(vec3(floor(t.x * 14.0 + shelf * 3.0), shelf, 2.0));
        k = bars(t.y * 2.5, 0.08) > 0.5 ? 0.0 : k;
    }
    float fade = clamp(1.5 - 0.6 * length(fwidth(t)) * 4.0, 0.0, 1.0);
    vec3 albedo = mix(colour_a, colour_b, mix(0.35, clamp(k, 0.0, 1.0), fade));
    albedo *= 0.92 + 0.16 * noise(world * 1.3 + offset);
    colour = vec4(shade(albedo, world, n, gloss), 1.0);
    identity = vec2(0.0, dot(depth_row, vec4(world, 1.0)));
}
"""
)

BACKDROP_VERTEX = """
#version 330
in vec2 in_position;
out vec2 uv;
void main() {
    uv = in_position * 0.5 + 0.5;
    gl_Position = vec4(in_position, 0.999999, 1.0);
}
"""

BACKDROP_FRAGMENT = """
#version 330
in vec2 uv;
uniform sampler2D picture;
layout(location = 0) out vec4 colour;
layout(location = 1) out vec2 identity;
void main() {
    colour = vec4(texture(picture, uv).rgb, 1.0);
    identity = vec2(0.0, 1e9);
}
"""

DEPTH_FRAGMENT = """
#version 330
void main() {}
"""


def layered(source: str, extra: bool) -> str:
    """A person's fragment shader for the body alone, or for hair and skirts.

    Only the latter discards: a shader that may discard loses the early depth test.
    """
    if extra:
        return (
            source.replace("LAYER ", "uniform int layer; ")
            .replace("LAYER\n", "uniform int layer;\n")
            .replace("#version 330", "#version 330\n#define EXTRA")
        )
    return source.replace("LAYER ", "const int layer = 0; ").replace(
        "LAYER\n", "const int layer = 0;\n"
    )
